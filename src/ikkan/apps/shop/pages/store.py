"""The storefront: what a visitor sees and does. Each page tells what was done before it asks what to show."""

from __future__ import annotations

from typing import Any, cast

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ikkan.apps.shop.pages.picture import picture
from ikkan.apps.shop.pages.support import TALK_WORDS
from ikkan.apps.shop.rules.mood.telling import panel
from ikkan.apps.shop.rules.support import phrases
from ikkan.apps.shop.service.moods import Moods
from ikkan.apps.shop.service.storefront import OWN, Held, Storefront
from ikkan.apps.shop.values import Ask, Deed, Language, Suggestions, Ware
from ikkan.ground.errors import BadInput
from ikkan.ground.ids import SubjectId, TenantId
from ikkan.ground.money import format_micros
from ikkan.kit import Parts, Session, own_path
from ikkan.kit.language import told_in

AS_COOKIE = "ikkan_shop_as"
_DEEDS: tuple[Deed, ...] = ("carted", "uncarted", "bought", "disliked")
_LATELY = 8


class Visit:
    """Who is looking, as whom, in which language."""

    def __init__(self, parts: Parts, request: Request) -> None:
        session: Session = parts.frame.require(request)
        self.session = session
        self.tenant_id = TenantId(session.tenant_id)
        self.language = parts.frame.language(request)
        chosen = request.cookies.get(AS_COOKIE, "") if session.is_admin else ""
        # Only who may see everybody's orders anyway may walk through the store as somebody else.
        self.person = chosen or f"{OWN}{session.subject_id or session.tenant_id}"


def price(ware: Ware) -> str:
    """What it costs, for people.

    >>> from datetime import UTC, datetime
    >>> price(Ware("1", "Cup", "Kitchen", 1_280_000_000, "JPY", datetime(2026, 1, 1, tzinfo=UTC)))
    '¥1,280'
    """
    return money(ware.price_micros, ware.currency)


def money(micros: int, currency: str) -> str:
    """An amount as people write it where we know how, and exactly elsewhere."""
    return f"¥{micros // 1_000_000:,}" if currency == "JPY" else format_micros(micros, currency)


def intents(language: Language) -> list[dict[str, str]]:
    """What a customer may want, to press."""
    return [{"label": says[language], "say": says[language]} for says in phrases.INTENTS.values()]


def pages(parts: Parts, front: Storefront, moods: Moods) -> tuple[BaseRoute, ...]:
    """The store, a product, the basket, search, and what is done on them."""
    run, frame = parts.database.run, parts.frame
    suggesting = front.suggesting

    def around(visit: Visit) -> dict[str, Any]:
        """What stands beside every page."""
        tenant_id, person = visit.tenant_id, visit.person
        shelf = suggesting.shelf(tenant_id)
        history = suggesting.history(tenant_id, person, limit=200)
        mood = moods.now(tenant_id, person, history, parts.clock.now())
        language = cast(Language, visit.language)
        return {
            "person": person,
            "personas": front.personas(tenant_id) if visit.session.is_admin else [],
            "held": sum(each.pieces for each in front.basket(tenant_id, person)),
            "orders": front.orders(tenant_id, person),
            "offers": [
                {"id": offer.offer_id, "talk_id": offer.talk_id, "text": says[visit.language]}
                for offer, says, _ in front.carrier.offers(tenant_id, customer_id=person)
            ],
            "mood": panel(mood, moods.is_off(tenant_id, person), language)
            | {"is_off": moods.is_off(tenant_id, person)},
            "mood_of": person if visit.session.is_admin else None,
            "lately": [
                {
                    "deed": each.deed,
                    "what": each.query or _named(shelf.ware(each.product_id or ""), visit.language) or each.product_id,
                }
                for each in reversed(history[-_LATELY:])
            ],
            "query": "",
            "picture": lambda ware: picture(ware, visit.language),
            "price": price,
        }

    def lists(visit: Visit, *wanted: tuple[str, Ask]) -> list[tuple[str, Suggestions]]:
        say = frame.words.say(visit.language)
        return [(say(title), suggesting.suggest(visit.tenant_id, ask)) for title, ask in wanted]

    async def home(request: Request) -> Response:
        visit = Visit(parts, request)

        def look() -> dict[str, Any]:
            return around(visit) | {
                "shelves": lists(
                    visit,
                    ("shop.for_you", Ask(visit.person, "home", 12)),
                    ("shop.again_soon", Ask(visit.person, "replenish", 4)),
                ),
                "count": suggesting.shelf(visit.tenant_id).n,
                "categories": front.categories(visit.tenant_id),
            }

        return frame.render(request, "shop/store.html", **await run(look))

    async def product(request: Request) -> Response:
        visit, product_id = Visit(parts, request), request.path_params["product_id"]
        came_from = request.query_params.get("from", "")[:80]

        def look() -> dict[str, Any]:
            ware = front.ware(visit.tenant_id, product_id)
            front.did(visit.tenant_id, visit.person, "viewed", product_id, impression_id=came_from)
            similar = ("shop.similar", Ask(visit.person, "similar", 8, (product_id,)))
            return around(visit) | {"ware": ware, "shelves": lists(visit, similar), "came_from": came_from}

        return frame.render(request, "shop/product.html", **await run(look))

    async def deed(request: Request) -> Response:
        await frame.require_post(request)
        visit, product_id, form = Visit(parts, request), request.path_params["product_id"], await request.form()
        done = next((each for each in _DEEDS if each == form.get("deed")), None)
        if done is None:
            raise BadInput("this cannot be done here", hint="reload the page and use its buttons")
        came_from = str(form.get("from", ""))[:80]

        def act() -> None:
            if done == "bought":
                held = Held(front.ware(visit.tenant_id, product_id), 1)
                front.buy(visit.tenant_id, visit.person, [held], impression_id=came_from)
            else:
                front.did(
                    visit.tenant_id, visit.person, done, product_id, impression_id=came_from, quantity=_pieces(form)
                )

        await run(act)
        return frame.go(own_path(str(form.get("back", "/shop"))))

    async def basket(request: Request) -> Response:
        if request.method == "POST":
            await frame.require_post(request)
            visit = Visit(parts, request)
            await run(lambda: front.buy(visit.tenant_id, visit.person, front.basket(visit.tenant_id, visit.person)))
            return frame.go("/shop")
        visit = Visit(parts, request)

        def look() -> dict[str, Any]:
            held = front.basket(visit.tenant_id, visit.person)
            ids = tuple(each.ware.product_id for each in held)
            total = sum(each.ware.price_micros * each.pieces for each in held)
            with_it = [("shop.with_basket", Ask(visit.person, "basket", 8, ids))] if held else []
            return around(visit) | {
                "lines": held,
                "shelves": lists(visit, *with_it),
                "total": money(total, held[0].ware.currency) if held else "",
            }

        return frame.render(request, "shop/basket.html", **await run(look))

    async def search(request: Request) -> Response:
        visit = Visit(parts, request)
        query = request.query_params.get("q", "").strip()[:200]
        category = request.query_params.get("category", "").strip()[:200]

        def look() -> dict[str, Any]:
            hits = front.find(visit.tenant_id, query, category=category)
            if query:
                front.did(visit.tenant_id, visit.person, "searched", query=query)
            ids = tuple(ware.product_id for ware in hits[:200])
            found = [("shop.search", Ask(visit.person, "search", 24, ids, query))] if ids else []
            return around(visit) | {
                "shelves": lists(visit, *found),
                "found": bool(ids),
                "query": query,
                "category": category,
            }

        return frame.render(request, "shop/search.html", **await run(look))

    async def be(request: Request) -> Response:
        """Walk through the store as another person."""
        await frame.require_post(request, admin=True)
        wanted = str((await request.form()).get("person", ""))[:80]
        response = frame.go("/shop")
        response.set_cookie(AS_COOKIE, wanted, httponly=True, samesite="strict", path="/", max_age=12 * 3600)
        return response

    async def no_thanks(request: Request) -> Response:
        """Help that was offered is not wanted; it is not offered again."""
        await frame.require_post(request)
        visit, offer_id = Visit(parts, request), str((await request.form()).get("offer", ""))[:80]

        def decline() -> None:
            if front.carrier.offer(visit.tenant_id, offer_id).customer_id == visit.person:
                front.carrier.decline(visit.tenant_id, offer_id)

        await run(decline)
        return frame.go("/shop")

    async def helping(request: Request) -> Response:
        """Support, as the person of the store."""
        visit = Visit(parts, request)
        offer_id = request.query_params.get("offer", "")[:80]

        def begin() -> tuple[str, list[dict[str, str]]]:
            tenant_id, person = visit.tenant_id, visit.person
            offered = {offer.offer_id: what for offer, _, what in front.carrier.offers(tenant_id, customer_id=person)}
            if offer_id in offered:
                language = cast(Language, visit.language)
                choices = [{"label": each.label[language], "say": each.say[language]} for each in offered[offer_id]]
                return front.carrier.take(tenant_id, offer_id, language), choices
            subject = None if visit.session.subject_id is None else SubjectId(visit.session.subject_id)
            language = cast(Language, visit.language)
            known = front.help_with(tenant_id, person, language=language, subject_id=subject)
            return known, intents(language) if front.orders(tenant_id, person) else []

        talk_id, choices = await run(begin)
        words = {name: told_in(texts, visit.language) for name, texts in TALK_WORDS.items()}
        return frame.render(
            request, "shop/support.html", talk_words=words, talk_id=talk_id, choices=choices, customer=""
        )

    return (
        Route("/", home),
        Route("/p/{product_id}", product),
        Route("/p/{product_id}/deed", deed, methods=["GET", "POST"]),
        Route("/basket", basket, methods=["GET", "POST"]),
        Route("/search", search),
        Route("/as", be, methods=["GET", "POST"]),
        Route("/help", helping),
        Route("/offers", no_thanks, methods=["GET", "POST"]),
    )


def _named(ware: Ware | None, language: str) -> str:
    return "" if ware is None else ware.name_in(language)


def _pieces(form: FormData) -> int:
    given = str(form.get("quantity", "1"))
    return min(int(given), 99) if given.isdecimal() and int(given) > 0 else 1
