"""What would come of an import, and what came of it, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from dizuo.console.data.import_wish import IMPORT, Wish
from dizuo.console.data.import_work import Preview, SmallPicture
from dizuo.console.elements.markup import (
    EMPTY,
    Column,
    badge,
    figure,
    join,
    link,
    panel,
    table,
    tag,
)
from dizuo.console.elements.telling import number
from dizuo.console.elements.values import shown
from dizuo.console.messages import Words
from dizuo.console.sentences import error_sentence, spoken
from dizuo.console.work import Standing, Work
from dizuo.datasets.model import LABEL_COLUMN, Addition, DatasetVersion, Reject

_STOPPABLE = ("", "read", "split")
"""Until the table is written an import can be stopped."""


def previewed(words: Words, work: Work, standing: Standing) -> Markup:
    """How far a look at an upload is, and then what would come of it."""
    title = words("data.preview")
    if not standing.has_ended:
        return panel(title, _progress(words, standing, "data.looking", "data.look_waits"))
    if not isinstance(standing.result, Preview):
        return panel(title, _failed(words, standing))
    preview = standing.result
    return join(
        [
            panel(
                title, _figures(words, preview), _kinds(words, preview), _verdict(words, preview)
            ),
            panel(words("data.first_rows"), _rows(words, work, preview)) if preview.rows else EMPTY,
            _reasons(words, preview),
        ]
    )


def _progress(words: Words, standing: Standing, key: str, waiting: str) -> Markup:
    progress = standing.progress
    stage = progress.stage if progress else "begin"
    told = words(f"data.stage_{stage}", count=number(progress.done if progress else 0))
    said = words(waiting) if standing.is_waiting else f"{words(key)} {told}"
    return join(
        [
            tag("p", said, role="status", aria_busy="true"),
            tag("progress", "", aria_label=words(key)),
        ]
    )


def _failed(words: Words, standing: Standing) -> Markup:
    error = standing.error
    sentence = error_sentence(words, error) if error else words("told.failed")
    return tag("p", sentence, class_="notice bad", role="alert")


def _figures(words: Words, preview: Preview) -> Markup:
    told = preview.told
    counts: list[tuple[str, int | None]] = [
        ("to_read", told.num_read),
        ("to_add", told.num_added),
        ("to_hold_out", told.num_held_out),
        ("duplicates", told.num_duplicates),
        ("to_reject", told.num_rejected),
        ("near", told.num_near),
    ]
    return tag(
        "div",
        *(
            figure(words(f"data.{name}"), "–" if count is None else number(count))
            for name, count in counts
        ),
        class_="figures small",
    )


def _verdict(words: Words, preview: Preview) -> Markup:
    told = preview.told
    if not told.is_possible:
        return tag("p", words("data.nothing_usable"), class_="notice bad", role="alert")
    if told.num_added + told.num_held_out == 0:
        return tag("p", words("data.nothing_new"), class_="notice")
    if told.num_rejected:
        count, whole = number(told.num_rejected), number(told.num_read)
        return tag("p", words("data.some_rejected", count=count, all=whole), class_="notice")
    return tag("p", badge(words("data.all_good"), "good"))


def _kinds(words: Words, preview: Preview) -> Markup:
    if not preview.told.kinds:
        return EMPTY
    kinds = [
        tag("span", tag("strong", name), " ", words(f"data.kind_{kind}"))
        for name, kind in preview.told.kinds
    ]
    return tag("p", words("data.columns"), " ", join(kinds, ", "))


def _rows(words: Words, work: Work, preview: Preview) -> Markup:
    if all(_is_picture(row) for row in preview.rows):
        return tag("ul", *(_card(words, work, row) for row in preview.rows), class_="gallery")
    names = [name for name, _ in preview.told.kinds]
    names += sorted({name for row in preview.rows for name in row} - set(names))
    cells = [[_cell(words, work, row, name) for name in names] for row in preview.rows]
    return table([Column(name) for name in names], cells, words("data.first_rows"))


def _is_picture(row: Mapping[str, Any]) -> bool:
    """Whether a row is a picture with a label and nothing else."""
    others = [value for name, value in row.items() if name != LABEL_COLUMN]
    return len(others) == 1 and isinstance(others[0], SmallPicture)


def _card(words: Words, work: Work, row: Mapping[str, Any]) -> Markup:
    [name] = row.keys() - {LABEL_COLUMN}
    label = tag("span", shown(words, row.get(LABEL_COLUMN)), class_="is")
    return tag("li", _cell(words, work, row, name), label)


def _cell(words: Words, work: Work, row: Mapping[str, Any], name: str) -> Markup:
    value = row.get(name)
    if not isinstance(value, SmallPicture):
        return shown(words, value)
    query = urlencode({"work": work.id, "index": value.index})
    alt = words("data.picture", source=str(value.index + 1))
    return tag("img", src=f"{IMPORT}/picture?{query}", alt=alt)


def _reasons(words: Words, preview: Preview) -> Markup:
    told = preview.told
    if not told.reasons:
        return EMPTY
    columns = [Column(words("column.reason")), Column(words("column.rows"), is_number=True)]
    rows = [(spoken(words, why), number(count)) for why, count in told.reasons]
    counted = table(columns, rows, words("data.reasons"))
    return panel(words("data.reasons"), counted, _rejects(words, told.rejects))


def _rejects(words: Words, rejects: Sequence[Reject]) -> Markup:
    if not rejects:
        return EMPTY
    columns = [Column(words("column.place")), Column(words("column.reason"))]
    rows = [(spoken(words, one.place), spoken(words, one.reason)) for one in rejects]
    return join(
        [tag("h3", words("data.first_rejects")), table(columns, rows, words("data.first_rejects"))]
    )


def adding(words: Words, work: Work, standing: Standing, wish: Wish) -> Markup:
    """How far an import is, and then what came of it; `wish` leads back to the form."""
    if not standing.has_ended:
        title = words("data.adding", name=wish.name)
        progress = _progress(words, standing, "data.under_way", "data.add_waits")
        return panel(title, progress, _stop(words, work, wish))
    back = link(words("data.back_to_form"), wish.address(checked=1), class_="button")
    if not isinstance(standing.result, Addition):
        return panel(words("data.not_added"), _failed(words, standing), back)
    return _added(words, standing.result)


def _stop(words: Words, work: Work, wish: Wish) -> Markup:
    progress = work.standing.progress
    if (progress.stage if progress else "") not in _STOPPABLE:
        return EMPTY
    return tag(
        "form",
        tag("input", type="hidden", name="work", value=work.id),
        tag("input", type="hidden", name="back", value=urlencode(wish.fields)),
        tag("button", words("data.stop"), class_="button danger"),
        tag("p", words("data.may_leave"), class_="muted"),
        method="post",
        action=f"{IMPORT}/stop",
    )


def _added(words: Words, addition: Addition) -> Markup:
    told = words(
        "data.taken",
        taken=number(addition.num_accepted),
        duplicates=number(addition.num_duplicates),
        rejected=number(addition.num_rejected),
    )
    made = {one.id for one in addition.made}
    versions = [one for one in (addition.version, addition.held_out) if one is not None]
    rows = [_version(words, one, is_new=one.id in made) for one in versions]
    columns = [
        Column(words("column.version")),
        Column(words("column.rows"), is_number=True),
        Column(words("column.state")),
        Column(words("column.rejected")),
    ]
    title = words("data.is_added") if made else words("data.was_there")
    return join(
        [
            panel(title, tag("p", told), table(columns, rows, title)),
            panel(words("data.rejects"), _rejects(words, addition.rejects))
            if addition.rejects
            else EMPTY,
            tag("p", link(words("data.another_file"), IMPORT, class_="button")),
        ]
    )


def _version(words: Words, one: DatasetVersion, *, is_new: bool) -> tuple[object, ...]:
    place = f"/data/{one.name}/{one.version}"
    state = badge(words("data.new"), "good") if is_new else badge(words("data.unchanged_version"))
    rejects = link(words("data.see_rejects", count=number(one.num_rejected)), f"{place}/rejects")
    return (
        link(one.pin.ref, place),
        number(one.num_rows),
        state,
        rejects if one.num_rejected else "–",
    )
