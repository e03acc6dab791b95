"""What is wrong with the files of a registry, all of it at once?"""

import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from governance.budgets import Budgets
from governance.caps import unfit_fan_outs, unfit_rules
from governance.definition import Loop
from governance.documents import Document, hidden, parse
from governance.errors import DefinitionError
from governance.organisation import Organisation
from governance.parts import canonical
from governance.prices.contract import Contract
from governance.prices.fit import unfit_prices, unused_prices
from governance.probe import unfit_probes
from governance.problems import (
    Path,
    Problem,
    dotted,
    few,
    in_order,
    line_of,
    placed,
    problems_of,
    shown,
)
from governance.registry import SCHEMA_FILE, Examined, Registry, Texts
from governance.resolve import Known, doubts, unresolved
from governance.skills import Skill, read_skill
from governance.undeclared import unseen_by_loop, unseen_by_rules

_LOOP = re.compile(r"loops/([^/]+)\.yaml")
_INSTRUCTIONS = re.compile(r"instructions/([a-z0-9][a-z0-9._-]*)/(v[1-9][0-9]{0,3})\.md")
_SKILL = re.compile(r"skills/([a-z0-9][a-z0-9-]*)/(v[1-9][0-9]{0,3})/(.+)")

M = TypeVar("M", bound=BaseModel)


def load(texts: Texts, *, priced: Callable[[str], bool]) -> Registry:
    """The registry these texts describe. Raises `DefinitionError` with every problem of every file.

    `priced` says whether the price list knows a model, by the provider's id; asked only under a cost cap.
    """
    examined = examine(texts, priced=priced)
    if examined.registry is None:
        raise DefinitionError(tuple(map(str, examined.problems)))
    return examined.registry


def examine(texts: Texts, *, priced: Callable[[str], bool]) -> Examined:
    """The registry, all its problems, and what is allowed but probably not meant; sorted by file and line."""
    return _Examination(texts).outcome(priced)


class _Examination:
    """One pass over the texts; collects instead of stopping."""

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        self.found = Examined(problems=list(texts.problems))
        self.instructions: dict[str, str] = {}
        self.folders: dict[str, dict[str, str]] = {}
        self.loops: dict[str, Loop] = {}

    def outcome(self, priced: Callable[[str], bool]) -> Examined:
        organisation = self._organisation()
        models = organisation.models.values() if organisation else ()
        contract = self._contract(priced, [m.model for m in models])
        for path, text in self.texts.files.items():
            self._sort(path, text)
        skills = self._skills()
        # Folders, not whole skills: a broken skill is one problem, not one more for everybody who names it.
        known = organisation and Known(
            organisation, self.instructions, self.folders,
            lambda model: contract.prices(model) or priced(model), bool(contract.sandbox),
        )  # fmt: skip
        for path, text in self.texts.files.items():
            if match := _LOOP.fullmatch(path):
                self._loop(self._file(path), text, match[1], known)
        budgets = self._budgets(known)
        self.found.problems = sorted(set(self.found.problems), key=in_order)
        self.found.warnings.sort(key=in_order)
        if organisation and not self.found.problems:
            self.found.registry = Registry(
                organisation, self.loops, self.instructions, skills, budgets.budgets, contract,
                budgets.fan_outs,
            )  # fmt: skip
        return self.found

    def _file(self, path: str) -> str:
        return f"{self.texts.root}/{path}"

    def _problem(self, file: str, text: str) -> None:
        self.found.problems.append(Problem(file, None, "", text))

    def _organisation(self) -> Organisation | None:
        file, text = self._file("org.yaml"), self.texts.files.get("org.yaml")
        if text is not None:
            document = parse(text, file)
            organisation = self._valid(Organisation, document, document.value, file, ())
            unfit = unfit_probes(organisation) if organisation else ()
            self.found.problems += placed(document.lines, file, unfit)
            return organisation
        if all(p.file != file for p in self.texts.problems):
            self._problem(file, "is missing; it names models, connectors and people")
        return None

    def _budgets(self, known: Known | None) -> Budgets:
        file = self._file("budgets.yaml")
        document = parse(self.texts.files.get("budgets.yaml", "{}"), file)
        found = self._valid(Budgets, document, document.value, file, ()) or Budgets()
        # Whose loop is broken may be whom a rule is about.
        if known is not None and self.loops and not self.found.problems:
            whose = tuple(self.loops.values()), known.organisation, known.priced
            unfit = (*unfit_rules(found.budgets, *whose), *unfit_fan_outs(found.fan_outs, *whose))
            self.found.problems += placed(document.lines, file, unfit)
            unseen = unseen_by_rules(found.budgets, whose[0], known.organisation, boxes=known.boxes)
            self.found.warnings += placed(document.lines, file, unseen)
        return found

    def _contract(self, priced: Callable[[str], bool], ids: Iterable[str]) -> Contract:
        file = self._file("prices.yaml")
        document = parse(self.texts.files.get("prices.yaml", "{}"), file)
        contract = self._valid(Contract, document, document.value, file, ()) or Contract()
        self.found.problems += placed(document.lines, file, unfit_prices(contract, priced))
        self.found.warnings += placed(document.lines, file, unused_prices(contract, ids))
        return contract

    def _sort(self, path: str, text: str) -> None:
        if match := _INSTRUCTIONS.fullmatch(path):
            self.instructions[f"{match[1]}@{match[2]}"] = text
            if found := hidden(text):
                self._problem(self._file(path), f"holds the invisible character {found}; remove it")
            if not text.strip():
                self._problem(self._file(path), "is empty")
        elif match := _SKILL.fullmatch(path):
            self.folders.setdefault(f"{match[1]}@{match[2]}", {})[match[3]] = text
        elif path not in (
            "org.yaml",
            "budgets.yaml",
            "prices.yaml",
            SCHEMA_FILE,
            "README.md",
        ) and not _LOOP.fullmatch(path):
            self._problem(
                self._file(path),
                "is read by nothing; expected org.yaml, budgets.yaml, prices.yaml, loops/<name>.yaml, "
                "instructions/<name>/v<N>.md or skills/<name>/v<N>/SKILL.md",
            )

    def _skills(self) -> dict[str, Skill]:
        skills: dict[str, Skill] = {}
        for ref, files in self.folders.items():
            name, _, version = ref.partition("@")
            folder = self._file(f"skills/{name}/{version}")
            skill, problems = read_skill(name, version, files, folder)
            self.found.problems.extend(problems)
            if skill:
                skills[ref] = skill
        return skills

    def _valid(
        self, model: type[M], document: Document, value: Any, file: str, above: Path
    ) -> M | None:
        problems = list(document.problems)
        valid = None
        if not problems or value is not None:
            try:
                valid = model.model_validate_json(canonical(value), strict=True)
            except ValidationError as error:
                said = {p.field for p in problems}
                more = problems_of(error, model, file, document.lines, above)
                problems += [p for p in more if p.field not in said]
        self.found.problems.extend(few(problems, file))
        return None if problems else valid

    def _loop(self, file: str, text: str, stem: str, known: Known | None) -> None:
        document = parse(text, file)
        value, above = document.value, ()
        if isinstance(value, dict) and "agent" in value:
            for other in sorted(k for k in value if k != "agent"):
                beside = "stands beside 'agent'; move it below, or leave 'agent' out"
                line = line_of(document.lines, (other,))
                document.problems.append(Problem(file, line, dotted((other,)), beside))
            value, above = value["agent"], ("agent",)
        loop = self._valid(Loop, document, value, file, above)
        if loop is None or known is None:
            return
        limits = known.organisation.limits
        unset = limits.model_fields_set - loop.harness.model_fields_set
        harness = loop.harness.model_copy(update={f: getattr(limits, f) for f in unset})
        loop = loop.model_copy(update={"harness": harness})
        findings = [(above + path, said) for path, said in unresolved(loop, known)]
        if loop.name != stem:
            findings.append(
                ((*above, "name"), f"{loop.name!r} is not the file's name, {shown(stem)}")
            )
        self.found.problems += placed(document.lines, file, findings)
        unseen = unseen_by_loop(loop, known.organisation, boxes=known.boxes)
        doubtful = (
            (above + path, said) for path, said in (*doubts(loop, known.organisation), *unseen)
        )
        self.found.warnings += placed(document.lines, file, doubtful)
        self.loops[loop.name] = loop
