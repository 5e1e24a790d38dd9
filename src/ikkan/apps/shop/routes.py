"""The API of shop, under `/a/shop/v1`. Each route asks the frame who is calling."""

from __future__ import annotations

from fastapi import FastAPI, Request

from ikkan.kit import Parts, api


def routes(parts: Parts) -> FastAPI:
    door = api("shop", parts.frame)

    @door.get("/about")
    async def about(request: Request) -> dict[str, str]:
        parts.frame.require(request)
        return {"app": "shop"}

    return door
