"""The images that are searched: file -> pixels -> features and captions -> cache -> gallery."""

from cir.gallery.gallery import Gallery, open_gallery
from cir.gallery.indexing import IndexingProgress, index_folder
from cir.gallery.manifest import GallerySummary, gallery_name, list_galleries
from cir.gallery.upkeep import pack_gallery

__all__ = [
    "Gallery",
    "GallerySummary",
    "IndexingProgress",
    "gallery_name",
    "index_folder",
    "list_galleries",
    "open_gallery",
    "pack_gallery",
]
