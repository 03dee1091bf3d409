"""The ``energy:`` section of a space file. Pure; loads nothing of CodeCarbon but its list of countries, and that only where a country is given."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from search.problems import Problems

Watts = Annotated[float, Field(gt=0, le=100_000)]


class EnergySettings(BaseModel):
    """How the energy of a search is told.

    Without `country_iso_code`, the country whose electricity is used, energy is shown and emissions are not. `cpu_watts` is the rated power of the machine's
    processors, `ram_watts` the power of its memory, where they are known better than CodeCarbon guesses them. With ``measure: false`` nothing is measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    country_iso_code: str | None = None
    cpu_watts: Watts | None = None
    ram_watts: Watts | None = None
    measure: bool = True

    @field_validator("country_iso_code")
    @classmethod
    def _country_is_known(cls, code: str | None) -> str | None:
        from search.energy import countries

        if code is None or (known := countries()) == {} or code.upper() in known:
            return None if code is None else code.upper()
        close = get_close_matches(code.title(), known.values(), 1) or [known[each] for each in get_close_matches(code.upper(), known, 1)]
        guess = "".join(f"; did you mean {each} ({name})?" for each, name in known.items() if name in close)
        raise ValueError(f"must be the code of a country whose electricity is known, three letters (ISO 3166-1 alpha-3) such as DEU or USA{guess}")


def check_energy(energy: EnergySettings, kwh: float | None, kg_co2: float | None, problems: Problems) -> None:
    """Note a budget that needs what is not measured: `kwh` and `kg_co2` are its totals."""
    for key, limit in (("kwh", kwh), ("kg_co2", kg_co2)):
        if limit is not None and not energy.measure:
            problems.add(("budget", key), f"found {limit:g}", "needs energy to be measured; leave out energy.measure: false")
    if kg_co2 is not None and energy.country_iso_code is None:
        remedy = "needs the country whose electricity is used; add energy: {country_iso_code: DEU}, with your country's three letters"
        problems.add(("budget", "kg_co2"), f"found {kg_co2:g} and no energy.country_iso_code", remedy)
