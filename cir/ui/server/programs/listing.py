"""The calls `/galleries` and `/methods`: what can be named in a search."""

from __future__ import annotations

from collections.abc import Callable

from cir.composers.parameters import defaults
from cir.shelf import ShelfEntry
from cir.ui.page import PageContent
from cir.ui.server.programs.answers import GalleryRow, MethodRow, ParameterRow, for_programs


def entries(content: PageContent) -> list[ShelfEntry]:
    """The galleries that can be named, the page's first one first."""
    if content.shelf is not None:
        return content.shelf.entries()
    gallery = content.retriever.gallery
    return [ShelfEntry("", content.title_of(""), len(gallery.image_ids), gallery.captioned_images)]


def galleries_with(content: PageContent) -> Callable[[], list[GalleryRow]]:
    """The call `/galleries`."""

    def galleries() -> list[GalleryRow]:
        """List the galleries that can be searched, the page's first one first."""
        try:
            return [
                {"name": e.title, "images": e.images, "captioned": e.captioned, "problem": e.problem}
                for e in entries(content)
            ]
        except Exception as error:
            raise for_programs(error) from error

    return galleries


def methods_with(content: PageContent) -> Callable[[], list[MethodRow]]:
    """The call `/methods`."""

    def methods() -> list[MethodRow]:
        """List the methods, the page's first one first, each with the numbers that it has."""
        rows: list[MethodRow] = []
        for name, composer in content.retriever.composers.items():
            known: list[ParameterRow] = [
                {
                    "name": p.name,
                    "symbol": p.symbol,
                    "label": p.label,
                    "low": p.low,
                    "high": p.high,
                    "default": p.default,
                }
                for p in composer.parameters
            ]
            rows.append({"name": name, "parameters": known, "weights": defaults(composer.parameters)})
        return rows

    return methods
