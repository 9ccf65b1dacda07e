"""The scenario of `file`: at each kill every file is wholly old or wholly new, at the end each is what it should be, nothing
was done twice, and no temporary file is left."""

from scenarios import Scenario

WORDS = {"whole": ("old", "new"), "whole.bak": ("old",), "left": ("left",), "right": ("right",)}
SMALL = {"a/b/left": "left", "a/b/right": "right"}
LINES = ["".join(f"{i}\n" for i in range(1, n + 1)) for n in range(5)]
TEMPORARY = ".rbhost-"


def files(case):
    """Path below the scenario's folder → content."""
    root = case.folder / "files"
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def allowed(name):
    if name in WORDS:
        return [f"{word}\n" * 60000 for word in WORDS[name]]
    if name in SMALL:
        return [SMALL[name]]
    return LINES


class Files(Scenario):
    name, short = "files that are replaced and removed", 100
    book = "files.lua"
    same_world = False

    def next(self, case, status):
        argv = super().next(case, status)
        return [*argv, f"dir={case.folder}"] if argv and argv[0] == "run" else argv

    def check_printed(self, case):
        """After each kill."""
        for name, text in files(case).items():
            if TEMPORARY not in name and text not in allowed(name):
                case.problem("lost", f"{name} is neither old nor new: {len(text)} bytes, {text[:40]!r}")

    def check(self, case, events):
        there = files(case)
        left = [name for name in there if TEMPORARY in name]
        if left:
            case.problem("doubled", f"temporary files are left: {left}")
        want = {"whole": "new\n" * 60000, "whole.bak": "old\n" * 60000, "right": "right\n" * 60000,
                "lines": LINES[4], "lines.before": LINES[3]}
        for name in sorted({*want, *there}):
            if there.get(name) != want.get(name):
                kind = "doubled" if name not in want else "lost"
                case.problem(kind, f"{name}: {str(there.get(name))[:60]!r}, {str(want.get(name))[:60]!r} was wanted")
