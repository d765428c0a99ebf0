"""Formats by file name and by first bytes: pictures that are read, raw camera files, and what cannot be read.

It opens no file and decodes nothing.
"""

from __future__ import annotations

from importlib.util import find_spec

IMAGE_SUFFIXES = frozenset(
    b".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .heic .heif .hif".split()
)
RAW_SUFFIXES = frozenset(
    b".3fr .ari .arq .arw .bay .cap .cr2 .cr3 .crw .cs1 .dcr .dcs .dng .drf .eip .erf .fff .gpr .iiq .k25 .kc2 .kdc "
    b".mdc .mef .mos .mrw .nef .nrw .orf .ori .pef .ptx .pxn .qtk .raf .raw .rw2 .rwl .rwz .sr2 .srf .srw .sti "
    b".x3f".split()
)
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")
_RAW_BRANDS = (b"crx ",)

RAW_PACKAGE = "rawpy"
RAW_WITHOUT_PACKAGE = f"raw camera files: their previews are read once {RAW_PACKAGE} is installed"
RAW_BESIDE_PICTURE = "raw camera files beside a picture of the same name, which is read instead"
_VIDEO = "videos"
_UNREADABLE_NAMES = {
    "JPEG XL pictures: save them as JPEG or PNG": b".jxl",
    "JPEG 2000 pictures: save them as JPEG or PNG": b".jp2 .j2k .j2c .jpc .jpf .jpx .jpm .jph .jhc",
    "Photoshop files: save them as JPEG or PNG": b".psd .psb .psdt .pdd",
    "projects of picture editors: export them as JPEG or PNG": b".xcf .kra .ora .procreate .clip .afphoto .afdesign "
    b".pxd .pxm .pdn .sketch .cpt .psp .pspimage .mdp .sai .sai2",
    "drawings: export them as PNG": b".svg .svgz .ai .eps .epsf .ps .cdr .wmf .emf .wmz .emz .dxf .dwg .vsd .vsdx .odg",
    "documents: save their pictures as JPEG or PNG": b".pdf .djvu .djv .indd .xps .oxps",
    "pictures of a kind that is not read: save them as JPEG or PNG": b".tga .icb .vda .vst .pcx .dcx .ico .icns .cur "
    b".ppm .pgm .pbm .pnm .pam .pfm .xbm .xpm .sgi .rgb .bw .ras .sun .exr .hdr .rgbe .dds .ktx .ktx2 .fits .fts "
    b".dcm .dicom .nii .czi .lsm .nd2 .svs .ndpi .jxr .wdp .hdp .jng .mng .flif .bpg .qoi .webp2 .wp2 .pict .pct .pic "
    b".iff .ilbm .lbm .wbmp .insp .heics .heifs .avifs .avcs .hips",
    _VIDEO: b".mp4 .mov .m4v .qt .avi .mkv .webm .mpg .mpeg .mpe .m1v .m2v .mp2v .mts .m2ts .m2t .3gp .3g2 .3gpp .wmv "
    b".asf .flv .f4v .mxf .insv .lrv .360 .braw .r3d .vob .ogv .ogm .dv .rm .rmvb .divx .mod .tod .trp .wtv .amv .gifv",
    "small pictures of videos": b".thm",
    "backups that exiftool made": b".jpg_original .jpeg_original .png_original .tif_original .tiff_original "
    b".heic_original .webp_original .dng_original .cr2_original .nef_original .arw_original",
}
_UNREADABLE = {suffix: reason for reason, names in _UNREADABLE_NAMES.items() for suffix in names.split()}
_BEGINNINGS = (
    (b"\xff\x0a", ".jxl"),
    (b"\0\0\0\x0cJXL ", ".jxl"),
    (b"\0\0\0\x0cjP  ", ".jp2"),
    (b"\xff\x4f\xff\x51", ".jp2"),
    (b"8BPS", ".psd"),
    (b"gimp xcf", ".xcf"),
    (b"%PDF-", ".pdf"),
    (b"%!PS", ".eps"),
    (b"<svg", ".svg"),
    (b"\x1aE\xdf\xa3", ".mkv"),
    (b"v/1\x01", ".exr"),
    (b"#?RADIANCE", ".hdr"),
)
_VIDEO_BRANDS = (
    b"isom",
    b"iso2",
    b"iso4",
    b"iso5",
    b"iso6",
    b"mp41",
    b"mp42",
    b"avc1",
    b"qt  ",
    b"M4V ",
    b"3gp",
)


def begins_like_image(head: bytes) -> bool:
    """Whether these are the first bytes of an image. TIFF does not count: raw camera files begin like it."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a"))
        or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
        or (head[4:8] == b"ftyp" and head[8:12] in (*_AVIF_BRANDS, *HEIF_BRANDS))
    )


def is_heif(head: bytes) -> bool:
    """Whether these are the first bytes of a HEIC image."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS and b"avif" not in head[12:]


def is_raw_name(suffix: bytes) -> bool:
    """Whether a file of this suffix (with its dot, in lower case) is a raw camera file."""
    return suffix in RAW_SUFFIXES


def raw_is_readable() -> bool:
    """Whether the package that reads raw camera files is installed."""
    return find_spec(RAW_PACKAGE) is not None


def unreadable_by_name(suffix: bytes) -> str:
    """What a file of this suffix (with its dot, in lower case) is that cannot be read, in the plural; "" if nothing."""
    return _UNREADABLE.get(suffix, "")


def unreadable_by_content(head: bytes) -> str:
    """What a file that begins like this is that cannot be read, in the plural; "" where that is not known."""
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    for beginning, suffix in _BEGINNINGS:
        if head.startswith(beginning) or (beginning == b"<svg" and start.startswith(beginning)):
            return _UNREADABLE[suffix.encode()]
    if head[4:8] == b"ftyp":
        if head[8:12] in _RAW_BRANDS:
            return RAW_WITHOUT_PACKAGE
        return _VIDEO if head[8:12].startswith(_VIDEO_BRANDS) else ""
    return ""
