#!/usr/bin/env python3
"""Build the sprites of the illustrated world: one atlas and one noun table.

The illustrated world is the set of small drawn scenes from which the project's
own models learn. Each noun of that world is drawn in three styles, taken from
three free emoji collections, so that a model has to learn what a dog is rather
than what one drawing of a dog looks like.

Run it from the repository root, with resvg-py==0.5.0, pillow and numpy in the
environment (they are needed to rebuild the assets only, never to use them):

    python scripts/build_sprites.py                    # fetches with `npm pack`
    python scripts/build_sprites.py --archives DIR     # uses archives in DIR
    python scripts/build_sprites.py --contact out.png  # also a sheet to look at

It writes

* assets/world/sprites.webp: RGBA atlas, one sprite per 128 x 128 cell, trimmed
  to its alpha bounding box, its longer side 128 pixels, centred horizontally
  and standing on the bottom edge of the cell;
* assets/world/nouns.json: {"cell", "columns", "nouns"}; a sprite's cell number
  counts row by row from the top left.

The three collections are pinned by version and by SHA-256, so a rebuild
gives the same pictures. Their licences are in assets/NOTICE.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image, ImageDraw

CELL = 128
COLUMNS = 20
RENDER = 512  # pixels on the longer side before trimming
QUALITY = 88
MAX_BYTES = 3_000_000
# What lies below this alpha at the border of a drawing does not count as drawn.
ALPHA_FLOOR = 8

# style -> (icon prefix, version, SHA-256 of the archive)
COLLECTIONS = {
    "fluent": (
        "fluent-emoji-flat",
        "1.2.6",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    ),
    "noto": ("noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"),
    "twemoji": ("twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"),
}

COLOURS = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black", "brown", "grey"]

# Parts of a drawing that are surroundings, not the thing itself: the first
# characters of the path's data.
LEFT_OUT = {
    "twemoji:sled": "M36 13.062V32",  # the snow below it
    "fluent-emoji-flat:tent": "M28.61 13.409",  # the moon above it
}

# One noun per line:
#   word | icon | colour | tint | synonyms
# icon    the icon's name in all three collections
# colour  the dominant natural colour, "-" where there is none or the styles differ
# tint    "t" where the whole drawing may be recoloured by a luminance ramp and
#         stays recognisable, "-" where its own colours are what tells it apart
# synonyms  separated by commas
# A plural that the rules of plural_of() do not give stands behind a "/".
NOUNS = {
    "animal": """
        dog | dog | brown | t | puppy, doggy
        cat | cat | orange | t | kitty
        horse | horse | brown | t |
        cow | cow | - | - |
        pig | pig | pink | t | hog
        sheep/sheep | ewe | white | t |
        rabbit | rabbit | - | t | bunny
        elephant | elephant | grey | t |
        giraffe | giraffe | yellow | - |
        zebra | zebra | - | - |
        camel | two-hump-camel | brown | - |
        tiger | tiger | orange | - |
        lion | lion | orange | - |
        panda | panda | - | - | giant panda
        fox | fox | orange | - |
        frog | frog | green | t |
        monkey | monkey | brown | - |
        kangaroo | kangaroo | brown | - |
        deer/deer | deer | brown | - |
        hedgehog | hedgehog | brown | - |
        squirrel | chipmunk | brown | - |
        bat | bat | brown | - |
        owl | owl | brown | - |
        penguin | penguin | - | - |
        duck | duck | - | - |
        parrot | parrot | - | - |
        flamingo | flamingo | pink | - |
        peacock | peacock | - | - |
        rooster | rooster | - | - | cockerel
        snake | snake | green | t |
        turtle | turtle | green | t |
        crocodile | crocodile | green | t |
        dinosaur | t-rex | green | t | T-rex
        fish/fish | fish | blue | t |
        shark | shark | grey | t |
        whale | spouting-whale | blue | t |
        octopus | octopus | - | t |
        crab | crab | red | t |
        butterfly | butterfly | - | t |
        bee | honeybee | yellow | - | honeybee
        snail | snail | - | t |
        spider | spider | black | t |
        ladybug | lady-beetle | red | - | ladybird
    """,
    "vehicle": """
        car | automobile | red | t | automobile
        bus | bus | - | t |
        taxi | taxi | yellow | - | cab, taxicab
        truck | articulated-lorry | - | t | lorry
        tractor | tractor | green | t |
        bicycle | bicycle | - | t | bike
        motorcycle | motorcycle | - | t | motorbike
        train | locomotive | - | t | locomotive, steam train
        airplane | airplane | - | t | plane, aeroplane
        helicopter | helicopter | yellow | t | chopper
        rocket | rocket | - | t | rocket ship
        flying saucer | flying-saucer | - | t | UFO
        sailboat | sailboat | - | t | sailing boat
        ship | ship | - | t |
        skateboard | skateboard | - | t |
        sled | sled | - | t | sledge, sleigh
        shopping cart | shopping-cart | grey | t | shopping trolley
    """,
    "food": """
        banana | banana | yellow | t |
        apple | red-apple | red | t |
        strawberry | strawberry | red | t |
        pineapple | pineapple | yellow | - |
        watermelon | watermelon | - | - |
        carrot | carrot | orange | t |
        eggplant | eggplant | purple | t | aubergine
        pumpkin | jack-o-lantern | orange | t | jack-o'-lantern
        mushroom | mushroom | red | t | toadstool
        pizza | pizza | - | - |
        hamburger | hamburger | - | - | burger
        hot dog | hot-dog | - | - | hotdog
        croissant | croissant | brown | - |
        pretzel | pretzel | brown | - |
        doughnut | doughnut | - | - | donut
        ice cream | soft-ice-cream | - | - | ice cream cone
        cake | birthday-cake | - | - | birthday cake
        cupcake | cupcake | - | - |
        teapot | teapot | - | t |
        wine glass | wine-glass | - | - |
    """,
    "plant": """
        tree | deciduous-tree | green | t |
        palm tree | palm-tree | green | - | palm
        pine tree | evergreen-tree | green | t | fir tree
        cactus/cacti | cactus | green | t |
        sunflower | sunflower | yellow | - |
        rose | rose | red | t |
        maple leaf/maple leaves | maple-leaf | red | t |
    """,
    "music": """
        guitar | guitar | red | t |
        violin | violin | brown | - | fiddle
        trumpet | trumpet | yellow | - |
        saxophone | saxophone | yellow | - | sax
        drum | drum | red | t |
    """,
    "home": """
        umbrella | umbrella | purple | t |
        clock | alarm-clock | red | t | alarm clock
        chair | chair | brown | t |
        couch | couch-and-lamp | - | t | sofa
        bed | bed | - | t |
        bathtub | bathtub | white | - | tub
        candle | candle | - | - |
        light bulb | light-bulb | yellow | - | lightbulb, bulb
        television | television | - | - | TV
        telephone | telephone | red | t | phone
        laptop | laptop | - | - | laptop computer
        camera | camera | black | - |
        book | closed-book | red | t |
        pencil | pencil | orange | t |
        key | key | yellow | t |
        lock | locked | yellow | t | padlock
        hammer | hammer | - | - |
        hourglass | hourglass-done | - | - | sandglass
        globe | globe-showing-europe-africa | blue | - |
        bell | bell | yellow | t |
        anchor | anchor | blue | t |
        bomb | bomb | black | t |
    """,
    "wear": """
        hat | top-hat | black | t | top hat
        boot | hiking-boot | brown | t | hiking boot
        high heel | high-heeled-shoe | red | t | high-heeled shoe
        dress | dress | blue | t | gown
        T-shirt | t-shirt | - | t |
        backpack | backpack | red | t | rucksack
        suitcase | luggage | blue | t |
        crown | crown | yellow | t |
    """,
    "play": """
        basketball | basketball | orange | - |
        soccer ball | soccer-ball | - | - | football
        kite | kite | - | t |
        balloon | balloon | red | t |
        gift | wrapped-gift | - | t | present
        teddy bear | teddy-bear | brown | t | teddy
        trophy | trophy | yellow | - |
        snowman/snowmen | snowman-without-snow | white | - |
        robot | robot | - | t |
        ghost | ghost | white | t |
    """,
    "building": """
        house | house | - | t |
        castle | castle | grey | t |
        tent | tent | - | t |
    """,
}


def article_of(word: str) -> str:
    """The indefinite article of a word, by its sound."""
    lower = word.lower()
    if lower.startswith(("unicorn", "ufo", "uni", "one-")):
        return "a"
    if lower.startswith(("hour", "honest", "heir", "x-ray")):
        return "an"
    return "an" if lower[0] in "aeiou" else "a"


def plural_of(word: str) -> str:
    """The regular plural of a word; of a phrase, that of its last word."""
    if word.endswith(("s", "x", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    if word.endswith(("tomato", "buffalo")):
        return word + "es"
    return word + "s"


def word_entry(text: str) -> dict:
    """{"word", "plural", "article"} of "word" or "word/plural"."""
    word, _, plural = text.strip().partition("/")
    return {"word": word, "plural": plural or plural_of(word), "article": article_of(word)}


def read_nouns() -> dict:
    """NOUNS as a dictionary: word -> entry without sprites, with "icon"."""
    nouns: dict = {}
    taken: dict = {}
    for category, lines in NOUNS.items():
        for line in filter(str.strip, lines.splitlines()):
            name, icon, colour, tint, synonyms = (part.strip() for part in line.split("|"))
            entry = word_entry(name)
            word = entry.pop("word")
            entry["synonyms"] = [word_entry(s) for s in synonyms.split(",") if s.strip()]
            entry["category"] = category
            entry["colour"] = None if colour == "-" else colour
            entry["tintable"] = tint == "t"
            entry["icon"] = icon
            if entry["colour"] not in (None, *COLOURS) or tint not in ("t", "-"):
                raise SystemExit(f"bad line: {line.strip()}")
            forms = {word, entry["plural"]}
            for synonym in entry["synonyms"]:
                forms |= {synonym["word"], synonym["plural"]}
            for form in forms:
                if taken.setdefault(form.lower(), word) != word:
                    raise SystemExit(f"{form!r} means both {word!r} and {taken[form.lower()]!r}")
            nouns[word] = entry
    return nouns


def fetch_archives(folder: Path) -> None:
    """Fetch the pinned packages into folder."""
    for prefix, version, _ in COLLECTIONS.values():
        subprocess.run(
            ["npm", "pack", "--silent", f"@iconify-json/{prefix}@{version}"],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def load_collection(folder: Path, style: str) -> dict:
    """The icons.json of one collection, after its archive's hash was checked."""
    prefix, version, expected = COLLECTIONS[style]
    path = folder / f"iconify-json-{prefix}-{version}.tgz"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise SystemExit(f"{path.name}: SHA-256 is {found}, expected {expected}")
    with tarfile.open(path) as archive:
        return json.load(archive.extractfile("package/icons.json"))


def icon_svg(collection: dict, name: str) -> str:
    """One icon as an SVG document."""
    while name in collection.get("aliases", {}):
        alias = collection["aliases"][name]
        if set(alias) - {"parent"}:
            raise SystemExit(f"{name}: an alias that changes its parent is not supported")
        name = alias["parent"]
    icon = collection["icons"][name]
    body = icon["body"]
    start = LEFT_OUT.get(f"{collection['prefix']}:{name}")
    if start:
        body, count = re.subn(rf'<path fill="[^"]*" d="{re.escape(start)}[^"]*"/>', "", body)
        if count != 1:
            raise SystemExit(f"{name}: the part to leave out is not there")
    box = [
        icon.get(key, collection.get(key, default))
        for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{" ".join(map(str, box))}" width="{RENDER}" height="{RENDER * box[3] / box[2]}">'
        f"{body}</svg>"
    )


def draw(svg: str) -> Image.Image:
    """The drawing without its margins, its longer side CELL pixels."""
    picture = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg)))).convert("RGBA")
    alpha = np.asarray(picture)[..., 3] >= ALPHA_FLOOR
    rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
    picture = picture.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    scale = CELL / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    return picture.resize(size, Image.Resampling.LANCZOS)  # premultiplies RGBA itself


def contact_sheet(nouns: dict, atlas: Image.Image, path: Path, size: int, columns: int) -> None:
    """Every noun in its three styles at a small size, to judge it by eye."""
    width, height = 3 * (size + 4) + 92, size + 6
    rows = -(-len(nouns) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "#e8ecef")
    pen = ImageDraw.Draw(sheet)
    for index, (word, entry) in enumerate(nouns.items()):
        x, y = index % columns * width, index // columns * height
        for sprite in entry["sprites"]:
            left, top = sprite["cell"] % COLUMNS * CELL, sprite["cell"] // COLUMNS * CELL
            small = atlas.crop((left, top, left + CELL, top + CELL))
            small = small.resize((size, size), Image.Resampling.LANCZOS)
            sheet.paste(small, (x, y + 2), small)
            x += size + 4
        pen.text((x + 2, y + size // 2 - 5), word, fill="black")
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archives", type=Path, help="folder with the three .tgz archives")
    parser.add_argument("--out", type=Path, default=Path("assets/world"))
    parser.add_argument("--contact", type=Path, help="also write a contact sheet here")
    parser.add_argument("--contact-size", type=int, default=32)
    arguments = parser.parse_args()

    nouns = read_nouns()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.archives or Path(temporary)
        if arguments.archives is None:
            fetch_archives(folder)
        collections = {style: load_collection(folder, style) for style in COLLECTIONS}

    total = len(nouns) * len(COLLECTIONS)
    atlas = Image.new("RGBA", (COLUMNS * CELL, -(-total // COLUMNS) * CELL), (0, 0, 0, 0))
    cell = 0
    for entry in nouns.values():
        entry["sprites"] = []
        name = entry.pop("icon")
        for style, collection in collections.items():
            picture = draw(icon_svg(collection, name))
            left = cell % COLUMNS * CELL + (CELL - picture.width) // 2
            top = cell // COLUMNS * CELL + CELL - picture.height
            atlas.paste(picture, (left, top))
            entry["sprites"].append(
                {
                    "cell": cell,
                    "style": style,
                    "size": list(picture.size),
                    "aspect": round(picture.width / picture.height, 4),
                    "source": f"{COLLECTIONS[style][0]}:{name}",
                }
            )
            cell += 1

    arguments.out.mkdir(parents=True, exist_ok=True)
    target = arguments.out / "sprites.webp"
    # The alpha channel is kept without loss; only the colours are compressed.
    atlas.save(target, quality=QUALITY, alpha_quality=100, method=6)
    if target.stat().st_size >= MAX_BYTES:
        raise SystemExit(f"{target}: {target.stat().st_size} bytes, more than {MAX_BYTES}")
    table = {"cell": CELL, "columns": COLUMNS, "nouns": nouns}
    text = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
    (arguments.out / "nouns.json").write_text(text, encoding="utf-8")

    if arguments.contact:
        written = Image.open(target).convert("RGBA")
        contact_sheet(nouns, written, arguments.contact, arguments.contact_size, 6)
    tintable = sum(entry["tintable"] for entry in nouns.values())
    print(
        f"{len(nouns)} nouns ({tintable} tintable), {cell} sprites, "
        f"{atlas.width}x{atlas.height} pixels, {target.stat().st_size} bytes"
    )


if __name__ == "__main__":
    sys.exit(main())
