"""`python -m cir index`."""

from __future__ import annotations

import argparse
import json
import sys
import time

from cir.application import build_models, gallery_cache
from cir.gallery import IndexingProgress, gallery_name, index_folder


def index(options: argparse.Namespace) -> int:
    """Index a folder; progress goes to standard error, the summary to standard output."""
    models = build_models(options.models, llm=options.llm)
    captioner = None if options.no_captions else models.captioner
    name = options.name or gallery_name(options.folder)
    progress: IndexingProgress | None = None
    shown = 0.0
    for progress in index_folder(
        options.folder,
        name=name,
        image_encoder=models.clip,
        text_encoder=models.clip,
        captioner=captioner,
        captions_per_image=options.captions_per_image,
        cache_root=gallery_cache(),
        batch_size=options.batch_size,
        confirm_purge=options.confirm_purge,
        rehash=options.rehash,
    ):
        if time.monotonic() - shown > 1.0 or progress.done == progress.total:
            sys.stderr.write(f"\r{_line(progress):<79}")
            sys.stderr.flush()
            shown = time.monotonic()
    sys.stderr.write("\n")
    skipped = list(progress.skipped) if progress else []
    if options.json:
        answer = {
            "gallery": name,
            "images": progress.images if progress else 0,
            "skipped": [{"file": file, "reason": reason} for file, reason in skipped],
            "missing": dict(models.missing),
        }
        sys.stdout.write(json.dumps(answer, ensure_ascii=False) + "\n")
        return 0
    for file, reason in skipped:
        sys.stdout.write(f"skipped {file}: {reason}\n")
    sys.stdout.write(
        f"{name} is ready. Search it: python -m cir search --gallery {name} --image FILE --text EDIT\n"
    )
    return 0


def _line(progress: IndexingProgress) -> str:
    eta = f", {progress.eta_seconds:.0f} s left" if progress.eta_seconds else ""
    speed = f", {progress.images_per_second:.1f} a second" if progress.images_per_second else ""
    return (
        f"{progress.stage}: {progress.done} of {progress.total}{speed}{eta}, {len(progress.skipped)} skipped"
    )
