"""Use cases of the shop: the place where rules, store and the house meet. `desk.py` is support."""

from ikkan.apps.shop.service.desk import SupportDesk

__all__ = ["SupportDesk"]
