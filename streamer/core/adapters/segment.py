"""Segment's e-commerce events (Spec: V2 Ecommerce Events), as its Kafka destination writes them."""

from __future__ import annotations

from typing import Any, Final

from streamer.core.adapters.inbound import fields, text

SOURCE: Final = "segment"

TYPES: Final[dict[str, str]] = {
    "Product Viewed": "view",
    "Product Clicked": "click",
    "Product List Viewed": "list_view",
    "Product List Filtered": "list_view",
    "Products Searched": "search",
    "Product Added": "cart",
    "Wishlist Product Added to Cart": "cart",
    "Product Removed": "remove_from_cart",
    "Product Added to Wishlist": "wishlist",
    "Product Reviewed": "review",
    "Checkout Started": "checkout",
    "Coupon Applied": "coupon",
    "Order Completed": "purchase",
    "Order Refunded": "refund",
    "Order Cancelled": "refund",
}

_CALLS = frozenset({"track", "page", "screen", "identify", "group", "alias"})


def recognises(body: dict[str, Any]) -> bool:
    """Any Segment call: its ``type``, or an ``event`` with ``properties``."""
    call = body.get("type")
    if isinstance(call, str) and call in _CALLS:
        return True
    return call is None and isinstance(body.get("event"), str) and isinstance(body.get("properties"), dict)


def translate(body: dict[str, Any], timestamp: int) -> dict[str, Any]:
    """One call as the inbound envelope; calls other than ``track`` keep a type that is not registered."""
    properties = fields(body.get("properties"))
    event = body.get("event")
    products = properties.get("products")
    data: dict[str, Any] = {
        "query": properties.get("query"),
        "session": text(properties.get("session_id")),
        "anonymous_id": text(body.get("anonymousId")),
    }
    if isinstance(products, list):
        data["items"] = [_item(product) for product in products]
    else:
        data["items"] = [_item(properties)] if _names_item(properties) else products
    return {
        "id": body.get("messageId"),
        "source": SOURCE,
        "type": TYPES.get(event, f"segment:{event}") if isinstance(event, str) else f"segment:{body.get('type')}",
        "subject": text(body.get("userId")),
        "time": body.get("timestamp") or body.get("originalTimestamp") or timestamp,
        "data": data,
    }


def _names_item(properties: dict[str, Any]) -> bool:
    return any(properties.get(name) is not None for name in ("product_id", "sku"))


def _item(product: Any) -> object:
    if not isinstance(product, dict):
        return product
    identity = product.get("product_id")
    return {
        "id": text(product.get("sku") if identity is None else identity),
        "quantity": product.get("quantity"),
        "price": product.get("price"),
        "category": product.get("category"),
        "brand": product.get("brand"),
        "title": product.get("name"),
    }
