"""The labelling desk: claims, skipped samples, second opinions, and whether a label is new."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_ROWS = 5000


def upgrade() -> None:
    """Add three tables, and to each sample whether its label is another than the model's answer;
    of labels that are there already, it is looked up."""
    with op.batch_alter_table("samples", schema=None) as batch_op:
        batch_op.add_column(sa.Column("changed", sa.Boolean(), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_samples_queue"),
            ["project_id", "state", "reason", "digest", "changed", "site", "served_as", "family"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_samples_reviewer_reviewed_ms"), ["reviewer", "reviewed_ms"], unique=False
        )
    _note_changes()
    _add_claims()
    _add_opinions()


def _note_changes() -> None:
    samples = sa.table(
        "samples",
        sa.column("id", sa.String()),
        sa.column("answer", sa.JSON()),
        sa.column("label", sa.JSON()),
        sa.column("changed", sa.Boolean()),
        sa.column("state", sa.String()),
    )
    connection, last = op.get_bind(), ""
    labelled = sa.select(samples.c.id, samples.c.answer, samples.c.label)
    labelled = labelled.where(samples.c.state.in_(("reviewed", "used")))
    while True:
        page = labelled.where(samples.c.id > last).order_by(samples.c.id).limit(_ROWS)
        rows = connection.execute(page).all()
        if not rows:
            return
        update = samples.update().where(samples.c.id == sa.bindparam("which"))
        values = [{"which": one.id, "changed": _differ(one.answer, one.label)} for one in rows]
        connection.execute(update, values)
        last = rows[-1].id


def _differ(answer: Any, label: Any) -> bool:
    if all(type(one) in (str, int) for one in (answer, label)):
        return str(answer) != str(label)
    return json.dumps(answer, sort_keys=True) != json.dumps(label, sort_keys=True)


def _add_claims() -> None:
    op.create_table(
        "sample_claims",
        sa.Column("sample_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("reviewer", sa.String(length=128), nullable=False),
        sa.Column("token", sa.String(length=128), nullable=False),
        sa.Column("look", sa.String(length=128), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["samples.id"], name=op.f("fk_sample_claims_sample_id_samples")
        ),
        sa.PrimaryKeyConstraint("sample_id", name=op.f("pk_sample_claims")),
        sa.UniqueConstraint("token", name=op.f("uq_sample_claims_token")),
    )
    with op.batch_alter_table("sample_claims", schema=None) as batch_op:
        for column in ("project_id", "reviewer"):
            batch_op.create_index(batch_op.f(f"ix_sample_claims_{column}"), [column], unique=False)
    op.create_table(
        "sample_skips",
        sa.Column("sample_id", sa.String(length=36), nullable=False),
        sa.Column("reviewer", sa.String(length=128), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["samples.id"], name=op.f("fk_sample_skips_sample_id_samples")
        ),
        sa.PrimaryKeyConstraint("sample_id", "reviewer", name=op.f("pk_sample_skips")),
    )


def _add_opinions() -> None:
    op.create_table(
        "sample_opinions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("sample_id", sa.String(length=36), nullable=False),
        sa.Column("served_as", sa.String(length=128), nullable=False),
        sa.Column("first_reviewer", sa.String(length=128), nullable=False),
        sa.Column("first_said", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.String(length=128), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("is_class", sa.Boolean(), nullable=False),
        sa.Column("agrees", sa.Boolean(), nullable=False),
        sa.Column("given_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_by", sa.String(length=128), nullable=False),
        sa.Column("settled_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["samples.id"], name=op.f("fk_sample_opinions_sample_id_samples")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sample_opinions")),
        sa.UniqueConstraint("sample_id", name=op.f("uq_sample_opinions_sample_id")),
    )
    with op.batch_alter_table("sample_opinions", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sample_opinions_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_sample_opinions_project_id_served_as_is_class_agrees"),
            ["project_id", "served_as", "is_class", "agrees"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_sample_opinions_reviewer_given_ms"),
            ["reviewer", "given_ms"],
            unique=False,
        )
