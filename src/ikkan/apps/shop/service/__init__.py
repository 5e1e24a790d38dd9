"""Use cases of the shop: the place where rules, store and the house meet.

Begin at `suggesting/suggesting.py` for lists, at `desk.py` for support, at `storefront.py` for a visit from a look to
an order. `merchant.py` is the merchant's desk, `importing/` and `collecting.py` bring data in, `carrier.py` hears of
parcels, `moods.py`, `knowledge.py` and `wishes.py` know what people want, `champions.py` what was learned.
"""

from ikkan.apps.shop.service.desk import SupportDesk

__all__ = ["SupportDesk"]
