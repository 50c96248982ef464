"""Prompts as Open-Sora 1.2 was trained to read them: scored, and cleaned of what captions from the web are full of.

The rules are those of DeepFloyd IF's captions, which PixArt, Open-Sora and, as `_clean_caption`, diffusers' pipelines
share. Their order matters, and so do their oddities: the text encoder has seen nothing else.
"""

from __future__ import annotations

import html
import re
from html.entities import html5
from html.parser import HTMLParser
from urllib.parse import unquote_plus

import ftfy

MAX_TOKENS = 300
"""Of the text encoder's tokens, its end mark among them; what is longer is cut."""
_AESTHETICS = 6.5
"""Training told how good each clip looks, 4 to 7 as a rule; asked for is what the published samples were made with."""

_ADDRESS = r"[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@)"
_FILE = r"(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)"

_Rules = tuple[tuple[str, str], ...]
"""Patterns and what takes their place, in order."""

_MARKUP: _Rules = (
    (r"<person>", "person"),
    (rf"\b((?:https?:(?:/{{1,3}}|[a-zA-Z0-9%])|{_ADDRESS}))", ""),
    (rf"\b((?:www:(?:/{{1,3}}|[a-zA-Z0-9%])|{_ADDRESS}))", ""),
)
_SIGNS: _Rules = (
    (r"@[\w\d]+\b", ""),
    (r"[\u31c0-\u9fff]+", ""),  # Chinese characters, and the blocks around them
    (
        r"[\u002D\u058A\u05BE\u1400\u1806\u2010-\u2015\u2E17\u2E1A\u2E3A\u2E3B\u2E40\u301C\u3030\u30A0"
        r"\uFE31\uFE32\uFE58\uFE63\uFF0D]+",
        "-",
    ),  # all dashes
    (r"[`´«»“”¨]", '"'),
    (r"[‘’]", "'"),
    (r"&quot;?", ""),
    (r"&amp", ""),
    (r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}", " "),  # internet addresses
    (r"\d:\d\d\s+$", ""),
    (r"\\n", " "),
    (r"#\d{1,3}\b", ""),
    (r"#\d{5,}\b", ""),
    (r"\b\d{6,}\b", ""),
    (rf"[\S]+\.{_FILE}", ""),
    (r"[\"\']{2,}", '"'),
    (r"[\.]{2,}", " "),
    (r"[#®•©™&@·º½¾¿¡§~)(\]\[}{|\\/*]+", " "),
    (r"\s+\.\s+", " "),
)
_WORDS: _Rules = (
    (r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""),  # jc6640
    (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""),  # jc6640vc
    (r"\b\d+[a-zA-Z]+\d+\b", ""),  # 6640vc231
    (r"(worldwide\s+)?(free\s+)?shipping", ""),
    (r"(free\s)?download(\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (rf"\b{_FILE}(\simage[s]?)?", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " "),  # j2d1a2a
    (r"\b\d+\.?\d*[xх×]\d+\.?\d*\b", ""),  # 640x480, also with a Cyrillic x
    (r"\b\s+\:\s+", ": "),
    (r"(\D[,\./])\b", r"\1 "),
    (r"\s+", " "),
    (r"^[\"\']([\w\W]+)[\"\']$", r"\1"),
    (r"^[\'\_,\-\:;]", ""),
    (r"[\'\_,\-\:\-\+]$", ""),
    (r"^\.\S+$", ""),
)


def caption_of(prompt: str) -> str:
    """Returns what the text encoder is to read for a prompt."""
    scored = prompt if "aesthetic score:" in prompt else f"{prompt} aesthetic score: {_AESTHETICS:.1f}."
    return cleaned(scored)


def cleaned(text: str) -> str:
    """Returns the text by the rules, applied twice: what one pass uncovers, the next removes."""
    return _cleaned_once(_cleaned_once(text))


def _cleaned_once(text: str) -> str:
    text = _apply(_MARKUP, unquote_plus(text).strip().lower())
    text = _apply(_SIGNS, _Text.of(text))
    if len(re.findall(r"[-_]", text)) > 3:  # this-is-my-cute-cat
        text = re.sub(r"[-_]", " ", text)
    text = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    return _apply(_WORDS, text).strip()


def _apply(rules: _Rules, text: str) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text


class _Text(HTMLParser):
    """Gathers what is between tags, scripts and styles aside, as Beautiful Soup does."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        """Keeps a piece of text."""
        if self.cdata_elem is None:
            self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        """Keeps a character given by name; what is none stays as written."""
        self.parts.append(html5.get(f"{name};", f"&{name}"))

    def handle_charref(self, name: str) -> None:
        """Keeps a character given by number."""
        self.parts.append(html.unescape(f"&#{name};"))

    @classmethod
    def of(cls, markup: str) -> str:
        parser = cls()
        parser.feed(markup)
        parser.close()
        return "".join(parser.parts)
