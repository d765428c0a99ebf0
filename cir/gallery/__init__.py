"""The images that are searched: file -> pixels -> features and captions -> cache -> gallery."""

from cir.gallery.background import Indexer, IndexingJob
from cir.gallery.folders import OfferedFolder, offered_folders
from cir.gallery.gallery import Gallery, open_gallery
from cir.gallery.indexing import IndexingProgress, ManyVanished, index_folder
from cir.gallery.intake import Intake, IntakeLimits, take_in, uploaded_bytes
from cir.gallery.left_out import LeftOut
from cir.gallery.manifest import GallerySummary, gallery_name, list_galleries
from cir.gallery.removal import delete_gallery, rename_gallery
from cir.gallery.sources import Naming, move_gallery, name_gallery
from cir.gallery.upkeep import pack_gallery

__all__ = [
    "Gallery",
    "GallerySummary",
    "Indexer",
    "IndexingJob",
    "IndexingProgress",
    "Intake",
    "IntakeLimits",
    "LeftOut",
    "ManyVanished",
    "Naming",
    "OfferedFolder",
    "delete_gallery",
    "gallery_name",
    "index_folder",
    "list_galleries",
    "move_gallery",
    "name_gallery",
    "offered_folders",
    "open_gallery",
    "pack_gallery",
    "rename_gallery",
    "take_in",
    "uploaded_bytes",
]
