"""What a page shows, sent along with all that it asks: a forgotten page is noticed and goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ui_doubles import ToyRetriever, ToyTexts

from cir.composers.cvsi import weights as cvsi_weights
from cir.errors import BadQuery, GalleryError
from cir.ui.page import PageContent
from cir.ui.search import acts, handlers, links, reference, snapshots
from cir.ui.search.handlers import Session, Settings
from cir.ui.session import ForgottenPage, Sessions, size_of

SQUARE, CIRCLE = "red-square-large", "green-circle-small"
PLAIN = Settings(cvsi_weights(0.6, 0.4, 0.2), 8)


def picked(image_id: str, gallery: str = "") -> dict:
    """The value of the picture field when a picture of the gallery was picked on the page."""
    return {"path": None, "url": "x.webp", "meta": {"picked": image_id, "gallery": gallery}}


def search(retriever: ToyRetriever, session: Session, image: object, text: str) -> list[str]:
    *_, found = handlers.search(retriever, session, image=image, text=text, method="CVSI", settings=PLAIN)
    return [result.image_id for result in found.results]


def do(retriever: ToyRetriever, session: Session, name: str, **sent: object) -> None:
    acts.perform(acts.Request(retriever, ToyTexts(), session, {"do": name, **sent}))  # type: ignore[arg-type]


class AnyName:
    """A shelf on which one gallery goes by every name."""

    home = None

    def __init__(self, retriever: ToyRetriever) -> None:
        self.first = retriever

    def present_name(self, name: str) -> str:
        return name

    def retriever(self, name: str) -> ToyRetriever:
        return self.first


def recalled(retriever: ToyRetriever, sessions: Sessions, sent: str, uploads: Path) -> tuple[Session, str]:
    """A new session in the place of the one that `sent` is of, and the note."""
    session = Session()
    content = PageContent(AnyName(retriever), text_encoder=ToyTexts(), sessions=sessions)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshots, "upload_folder", lambda: uploads)
        return session, snapshots.recall_session(content, session, sent)


def changed_search(retriever: ToyRetriever, session: Session) -> list[str]:
    """A search after which everything was changed that can be; its results."""
    search(retriever, session, picked(SQUARE), "make it blue")
    do(retriever, session, "text", kind="modified_captions", place=0, text="a large green circle")
    do(retriever, session, "text", kind="added_objects", place=None, text="star")
    do(retriever, session, "want", kind="less", id=session.result_ids[1])
    do(retriever, session, "without", text="purple")
    do(retriever, session, "weigh", place=1, text="-0.45")
    found = handlers.rerank(
        retriever,
        session,
        Settings(cvsi_weights(0.7, 0.1, 0.4), 12, leave_out_reference=False, at_least=0.1, fold=False),
    )
    return [result.image_id for result in found.results]


def test_a_picture_that_the_page_shows_is_searched_whatever_the_server_remembers(retriever, gallery):
    session = Session()
    reference.pick(gallery, session, CIRCLE)
    search(retriever, session, picked(SQUARE), "make it blue")
    assert (session.reference_id, session.image_path) == (SQUARE, gallery.thumbnail_path(SQUARE))


@pytest.mark.parametrize(
    ("image", "error", "said"),
    [
        (picked("no-such-image"), BadQuery, "no image"),
        (picked("../../etc/passwd"), BadQuery, "no image"),
        (picked(SQUARE, gallery="holiday"), BadQuery, "another gallery"),
    ],
)
def test_fault_46_a_picked_picture_is_one_of_the_gallery_that_is_searched(retriever, image, error, said):
    with pytest.raises(error, match=said):
        search(retriever, Session(), image, "blue")


def test_fault_93_a_link_restores_everything_that_was_seen(retriever):
    session, other = Session(), Session()
    seen = changed_search(retriever, session)
    address = links.link_to(session)
    assert len(address) < 500
    from urllib.parse import parse_qsl

    sent = dict(parse_qsl(address[1:], keep_blank_values=True))
    assert links.open_link(sent, other, lambda _: retriever, ToyTexts())  # type: ignore[arg-type]
    *_, found = handlers.search(
        retriever,
        other,
        image={"path": str(other.image_path)},
        text=other.text,
        method=other.method,
        settings=other.settings,
    )
    assert [result.image_id for result in found.results] == seen
    assert found.composed.trace == session.composed.trace
    assert [(t.kind, t.words, t.weight) for t in other.signed] == [
        (t.kind, t.words, t.weight) for t in session.signed
    ]
    assert links.link_to(other) == address


@pytest.mark.parametrize(
    "sent",
    [
        {"text": "x", "terms": "more 0.3 no-such-image"},
        {"text": "x", "terms": "most 0.3 red-square-large"},
        {"text": "x", "terms": "without 3 people"},
        {"text": "x", "terms": "without nan people"},
        {"text": "x", "terms": "without -0.3 "},
        {"text": "x", "terms": "\n".join(["without -0.3 people"] * 9)},
        {"text": "x", "at": "2"},
        {"text": "x", "at": "nan"},
        {"text": "x", "folder": "../.."},
        {"text": "x", "since": "yesterday"},
        {"text": "x", "since": "2024", "until": "2023"},
    ],
)
def test_fault_93_every_field_of_a_link_is_checked_like_any_input(retriever, sent):
    with pytest.raises(BadQuery):
        links.open_link(sent, Session(), lambda _: retriever, None)


def test_fault_87_a_session_that_gradio_forgot_goes_on_with_its_steps(retriever, tmp_path):
    sessions, session = Sessions(), Session()
    sessions.keep(session)
    seen = changed_search(retriever, session)
    again, note = recalled(retriever, sessions, snapshots.take(session), tmp_path)
    assert note == ""
    assert len(again.steps) == len(session.steps) > 4
    assert [r.image_id for r in handlers.answer(retriever, again).results] == seen


def test_fault_87_after_a_restart_the_next_search_is_what_the_page_shows_and_the_loss_is_said(
    retriever, tmp_path
):
    before, session = Sessions(), Session(gallery="holiday")
    before.keep(session)
    search(retriever, session, picked(SQUARE, "holiday"), "make it blue")
    do(retriever, session, "want", kind="more", id=session.result_ids[2])
    seen = [r.image_id for r in handlers.answer(retriever, session).results]
    again, note = recalled(retriever, Sessions(), snapshots.take(session), tmp_path)
    assert "forgotten this page" in note
    assert (again.gallery, again.text, again.method) == ("holiday", "make it blue", "CVSI")
    assert search(retriever, again, picked(SQUARE, "holiday"), "make it blue") == seen


def test_an_edit_that_looks_like_a_script_is_kept_as_it_was_and_gradio_warns_of_none(
    retriever, tmp_path, recwarn
):
    session, edit = Session(token="page"), "make it blue <script>alert(1)</script>"
    search(retriever, session, picked(SQUARE), edit)
    sent = snapshots.take(session)
    assert snapshots.read(sent).fields["text"] == edit
    gr.HTML().postprocess(sent)
    assert [str(one.message) for one in recwarn] == []
    gr.HTML().postprocess(edit)
    assert len(recwarn) == 1, "gradio warns no more, so nothing has to be written otherwise for it"


def test_fault_87_an_upload_is_found_again_only_among_the_uploads(retriever, gallery, tmp_path):
    own = tmp_path / "uploads" / "mine.webp"
    own.parent.mkdir()
    own.write_bytes(gallery.thumbnail_path(SQUARE).read_bytes())
    session = Session(token="page")
    search(retriever, session, {"path": str(own)}, "make it blue")
    again, note = recalled(retriever, Sessions(), snapshots.take(session), own.parent)
    assert (again.image_path, "choose it again" in note) == (own, False)
    elsewhere = json.dumps({**json.loads(snapshots.take(session)), "own": "/etc/passwd"})
    again, note = recalled(retriever, Sessions(), elsewhere, own.parent)
    assert (again.image_path, "choose it again" in note) == (None, True)


def test_fault_87_a_page_whose_gallery_is_gone_is_told_so_each_time(retriever):
    class Shelf:
        def retriever(self, name: str) -> ToyRetriever:
            if name:
                raise GalleryError(f"There is no gallery {name} any more.", "Choose another gallery.")
            return retriever

    sent = snapshots.take(Session(gallery="holiday", token="page"))
    content, again = PageContent(Shelf()), Session()  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(GalleryError, match="no gallery holiday"):
            snapshots.recall_session(content, again, sent)


def test_fault_87_a_session_that_no_page_has_opened_is_no_reason_to_search_the_first_gallery(retriever):
    content = PageContent(AnyName(retriever))  # type: ignore[arg-type]
    with pytest.raises(ForgottenPage, match="forgotten this page"):
        content.retriever_for(Session())
    assert content.retriever_for(Session(token="page")) is retriever


def test_fault_87_sessions_go_in_the_order_of_their_last_use_by_the_memory_that_they_hold():
    def with_notes(count: int) -> Session:
        return Session(notes=tuple(f"{number:010}" for number in range(count)))

    first, second, third = (with_notes(5_000) for _ in range(3))
    sessions = Sessions(
        most_bytes=int(2.5 * size_of(first))
    )  # how large a text is differs between versions of Python
    for session in (first, second, first, third):
        sessions.keep(session)
    assert sessions.find(first.token) is first
    assert sessions.find(second.token) is None
    assert len({first.token, second.token, third.token}) == 3
    small = [Session() for _ in range(50)]
    for session in small:
        sessions.keep(session)
    assert all(sessions.find(session.token) is session for session in (*small, first, third))
    huge = with_notes(50_000)
    sessions.keep(huge)
    assert sessions.find(huge.token) is huge  # the page that asks now is known
    assert sessions.find(third.token) is None


def test_of_a_session_what_its_steps_share_is_counted_once(retriever):
    session = Session()
    search(retriever, session, picked(SQUARE), "make it blue")
    before = size_of(session)
    rows = sum(part.nbytes for part in session.composed.parts.values())
    assert before > rows > 0
    other = Session()
    other.take_over(session)
    assert size_of((session, other)) < 1.2 * before
    session.picked_id = "x" * 10_000
    assert size_of(session) > before + 9_000


def test_fault_84_who_takes_over_a_session_shares_nothing_with_it_that_changes(retriever):
    session, other = Session(token="page"), Session()
    search(retriever, session, picked(SQUARE), "make it blue")
    other.take_over(session)
    search(retriever, other, picked(CIRCLE), "star")
    assert (len(session.steps), session.text, session.reference_id) == (1, "make it blue", SQUARE)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.text(max_size=50),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["token", "fields", "own", "version", "turn", "gallery"]), inner
                )
            ),
            max_leaves=8,
        ).map(json.dumps),
    )
)
def test_fault_46_whatever_a_page_says_that_it_shows_can_be_read(sent):
    shown = snapshots.read(sent)
    assert isinstance(shown.token, str)
    assert isinstance(shown.own, str)
    assert all(isinstance(value, str) for value in shown.fields.values())
    assert isinstance(shown.turn, int)
