"""Profiles as `Admin.export` gives them: a plain one, and random ones made of what breaks files."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

Data = dict[str, Any]


def profile(**sections: Data) -> Data:
    """A whole one, with these fields instead of its own."""
    plain: Data = {
        "description": "",
        "ai_infra": {"llm_endpoint": "endpoint", "llm_temperature": 0.7, "llm_max_tokens": 100},
        "genie": {"space_id": "s", "space_name": "S", "description": ""},
        "mlflow": {"experiment_name": "/x"},
        "prompts": {
            "system_prompt": "You are calm.\n\nAnswer in HTML.\n",
            "slide_editing_instructions": "edit",
            "user_prompt_template": "{question}",
        },
    }
    return {domain: {**fields, **sections.get(domain, {})} if fields else "" for domain, fields in plain.items()}


def data(**profiles: Data) -> Data:
    """Of these profiles; the first one is the default one."""
    return {"hotconfig": 1, "default": next(iter(profiles)), "profiles": profiles}


# Whatever PostgreSQL can keep, and oftener what YAML, JSON and their readers stumble over.
HOSTILE = list(" \t\n\nab0:#'\"-{}[]|>\\\r\v\x07\x7f\x85\xa0é\u2028\u2029\ufeff\ufffe😀\U0010ffff%@`!&*,?~=<")
WORDS = ["no", "null", "~", "1", "0.70", "2026-01-01", "<<", "=", ".nan", "---", "...", "true", "0x1f", "1e3", "12:30"]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60),
    st.text(st.sampled_from(HOSTILE), max_size=60),
    st.sampled_from(WORDS),
)
filled = texts.filter(lambda text: text.strip(" \t\n\r\f\v"))

profiles = st.fixed_dictionaries(
    {
        "description": texts,
        "ai_infra": st.fixed_dictionaries(
            {
                "llm_endpoint": filled,
                "llm_temperature": st.integers(0, 100).map(lambda hundredths: hundredths / 100),
                "llm_max_tokens": st.integers(1, 2**31 - 1),
            }
        ),
        "genie": st.fixed_dictionaries({"space_id": filled, "space_name": texts, "description": texts}),
        "mlflow": st.fixed_dictionaries({"experiment_name": texts.map(lambda text: "/" + text)}),
        "prompts": st.fixed_dictionaries(
            {
                "system_prompt": filled,
                "slide_editing_instructions": filled,
                "user_prompt_template": st.tuples(texts, texts).map("{question}".join),
            }
        ),
    }
)


@st.composite
def exports(draw: st.DrawFn) -> Data:
    """As an export of all gives them: by name, and one of them is the default one."""
    drawn = draw(st.dictionaries(filled, profiles, min_size=1, max_size=3))
    return {"hotconfig": 1, "default": draw(st.sampled_from(sorted(drawn))), "profiles": dict(sorted(drawn.items()))}
