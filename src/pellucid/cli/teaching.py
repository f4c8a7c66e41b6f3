"""Options that the teaching commands share: in which language, and with which digits, they speak."""

import click

language_option = click.option(
    "--lang", "language", type=click.Choice(["en", "tr", "fa", "ko"]), help="Language of the explanations.",
)  # fmt: skip
digits_option = click.option(
    "--digit-style",
    "digits",
    type=click.Choice(["latin", "native"]),
    default="latin",
    show_default=True,
    help="Digits in Persian prose; mathematics keeps 0 to 9.",
)
