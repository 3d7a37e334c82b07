#!/usr/bin/env python3
"""Makes the manual pages: section 3 from the comments of imgroup.h, section 1
from the command's own help.

The header is the only source, so a page cannot say anything else than it does.
It also gives the list of pages (--list) and dpkg's list of symbols (--symbols).
"""

import argparse
import pathlib
import re
import subprocess
import sys
import textwrap

DESCRIPTION = "friend lists of Tencent Cloud Chat (IM) from a server"
MANUAL = "imgroup manual"


# ---------------------------------------------------------------- the header


class Comment:
    """A doc comment, taken apart."""

    def __init__(self, text):
        lines = [re.sub(r"^\s*\*? ?", "", line) for line in text.strip().splitlines()]
        self.params = []
        self.returns = ""
        self.since = ""
        self.see = []
        body, target = [], None
        for line in lines:
            tag = re.match(r"@(param|return|since|see)\s+(.*)", line)
            if tag and tag[1] == "param":
                name, _, rest = tag[2].partition(" ")
                target = [rest.strip()]
                self.params.append((name, target))
            elif tag:
                target = [tag[2]]
                setattr(self, "_" + tag[1], target)
            elif not line.strip():
                # What follows a tag after an empty line is text again.
                target = None
                body.append("")
            elif target is not None:
                target.append(line.strip())
            else:
                body.append(line)
        self.params = [(name, " ".join(words)) for name, words in self.params]
        self.returns = " ".join(getattr(self, "_return", []))
        self.since = " ".join(getattr(self, "_since", []))
        self.see = re.findall(r"\w+", " ".join(getattr(self, "_see", [])))
        self.paragraphs = [
            " ".join(line.strip() for line in part.splitlines())
            for part in re.split(r"\n\s*\n", "\n".join(body).strip())
            if part.strip()
        ]


class Header:
    def __init__(self, path):
        text = pathlib.Path(path).read_text(encoding="utf-8")
        self.examples = pathlib.Path(path).resolve().parent.parent / "examples" / "c"
        self.preface = re.match(r"/\*(.*?)\*/", text, re.S)[1]
        self.preface = "\n".join(re.sub(r"^ \* ?", "", line) for line in self.preface.splitlines())
        self.enums, self.types, self.callbacks, self.functions = {}, {}, {}, {}
        self.enum_members = {}
        for match in re.finditer(r"/\*\*((?:(?!\*/).)*)\*/\s*\n(?=typedef|IMGROUP_API)((?:[^/;{]|/(?!\*))*[;{])", text, re.S):
            comment, declaration = Comment(match[1]), " ".join(match[2].split())
            if declaration.startswith("typedef enum"):
                body, name = re.match(r"(.*?)\}\s*(\w+);", text[match.end():], re.S).groups()
                members = re.findall(r"/\*\*(.*?)\*/\s*(\w+) = (-?\d+),", body, re.S)
                self.enums[name] = comment
                self.enum_members[name] = [(n, int(v), Comment(c)) for c, n, v in members]
            elif match := re.match(r"typedef struct (\w+) \1;", declaration):
                self.types[match[1]] = comment
            elif match := re.match(r"typedef .*?\(\*(\w+)\)", declaration):
                self.callbacks[match[1]] = (declaration, comment)
            elif match := re.match(r"IMGROUP_API\s+(.*?[\s*])(\w+)\((.*)\);", declaration):
                self.functions[match[2]] = Function(match[2], match[1].strip(), match[3], comment)
        declared = set(re.findall(r"^IMGROUP_API[^;(]*?(\w+)\(", text, re.M))
        if declared != set(self.functions):
            sys.exit(f"man.py: no comment for {sorted(declared - set(self.functions))}")


class Function:
    def __init__(self, name, result, parameters, comment):
        self.name, self.result, self.comment = name, result, comment
        self.parameters = [] if parameters == "void" else re.split(r",\s*", parameters)

    def group(self, header):
        """The type or topic that a function belongs to."""
        for kind in sorted(header.types, key=len, reverse=True):
            first = self.parameters[0] if self.parameters else ""
            if self.name.startswith(kind + "_") or re.search(rf"\b{kind} \*\w", first):
                return kind
        return ""


# ---------------------------------------------------------------- roff


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def inline(text, names, own=""):
    """A paragraph: names of functions in bold with their section, code in italics."""
    text = escape(text)
    text = re.sub(r"`([^`]*)`", r"\\fI\1\\fR", text)

    def name(match):
        word = match[0]
        if word in names:
            return f"\\fB{word}\\fR" + ("" if word == own else "(3)")
        return f"\\fB{word}\\fR"

    return re.sub(r"\b(imgroup_\w+|IMGROUP_\w+)\b", name, text)


class Page:
    def __init__(self, name, section, date, version, title=MANUAL):
        self.lines = [f'.TH {name.upper()} {section} {date} "imgroup {version}" "{title}"', ".nh", ".ad l"]

    def section(self, title):
        self.lines.append(f".SH {title}")

    def subsection(self, title):
        self.lines.append(f".SS {title}")

    def paragraphs(self, paragraphs):
        for index, text in enumerate(paragraphs):
            if index:
                self.lines.append(".PP")
            self.lines.append(text)

    def entry(self, term, text):
        self.lines += [".TP", term, text]

    def code(self, text):
        self.lines += [".nf", *escape(text).splitlines(), ".fi"]

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(self.folded()) + "\n", encoding="utf-8")

    def folded(self):
        """No line of text is longer than 80; code and requests stay as they are."""
        code = False
        for line in self.lines:
            code = code and line != ".fi" or line == ".nf"
            if code or line.startswith("."):
                yield line
            else:
                # A full stop or quote at the start of a line would be a request.
                for part in textwrap.wrap(line, 78, break_long_words=False, break_on_hyphens=False):
                    yield "\\&" + part if part[0] in ".'" else part


def prototype(function):
    head = f"{function.result} {function.name}(".replace("* ", "*")
    parameters = function.parameters or ["void"]
    lines, line = [], head
    for index, parameter in enumerate(parameters):
        text = parameter + ("," if index + 1 < len(parameters) else ");")
        if len(line) + len(text) > 70 and line.strip() and line != head:
            lines.append(line.rstrip())
            line = "    "
        elif line == head and len(line) + len(text) > 70:
            lines.append(line)
            line = "    "
        line += text + " "
    lines.append(line.rstrip())
    return "\n".join(lines)


# ---------------------------------------------------------------- section 3

THREAD_RULE = re.compile(r"May be called from any thread|Any thread may")


def thread_rule(function, header):
    """What the function says of threads, else what its object's type says."""
    own = [text for text in function.comment.paragraphs if THREAD_RULE.match(text)]
    if own:
        return own, True
    kind = function.group(header)
    if kind == "imgroup_client":
        return ["The client may be used from many threads at once."], False
    if kind:
        return [f"One thread at a time may use an `{kind}`; it may move between threads."], False
    return ["May be called from any thread."], False


def errors(function, header):
    """The local codes that a function may return, with what they mean."""
    if not any(p.endswith("**error") for p in function.parameters):
        return []
    known = header.enum_members["imgroup_code"]
    text = function.comment.returns
    if "a code of enum imgroup_code" in text or not text:
        job = "job" in function.name or "bulk" in function.name
        return [m for m in known if m[1] and (job or "_JOB_" not in m[0])]
    wanted = set(re.findall(r"IMGROUP_E_\w+", text))
    if "an argument error" in text:
        wanted |= {"IMGROUP_E_INVALID_ARGUMENT", "IMGROUP_E_INVALID_UTF8"}
    # The guard around every body; a function need not say so each time.
    wanted.add("IMGROUP_E_PANIC")
    return [m for m in known if m[0] in wanted]


def summary(comment):
    first = re.split(r"(?<=[^.][.])\s", re.sub(r"^After [^:]*: ", "", comment.paragraphs[0]))[0]
    first = re.split(r":\s", first)[0].rstrip(".:")
    first = re.sub(r" \([^)]*\)", "", first).split("; ")[0]
    return first[0].lower() + first[1:] if not first[:2].isupper() else first


def function_page(function, header, date, version):
    names, own, comment = header.functions, function.name, function.comment
    page = Page(own, 3, date, version)
    page.section("NAME")
    page.lines.append(f"{own} \\- {escape(summary(comment)).replace('`', '')}")
    page.section("SYNOPSIS")
    page.code("#include <imgroup.h>\n\n" + prototype(function) + "\n\ncc program.c $(pkg-config --cflags --libs imgroup)")
    rules, said = thread_rule(function, header)
    page.section("DESCRIPTION")
    page.paragraphs([inline(text, names, own) for text in comment.paragraphs if not (said and text in rules and len(comment.paragraphs) > 1)])
    if comment.params:
        page.section("PARAMETERS")
        for name, text in comment.params:
            page.entry(f".I {name}", inline(text[0].upper() + text[1:], names, own))
    page.section("RETURN VALUE")
    if function.result == "void" and not comment.returns:
        page.lines.append("None.")
    elif comment.returns:
        text = comment.returns
        page.lines.append(inline(text[0].upper() + text[1:], names, own))
    else:
        page.lines.append("See above.")
    page.section("ERRORS")
    local = errors(function, header)
    if local:
        for name, number, text in local:
            page.entry(f".BR {name} \" (\\-{-number})\"", inline(" ".join(text.paragraphs), names))
        if "service's ErrorCode" in comment.returns:
            page.lines += [".PP", "A positive number is the service's own and unchanged;",
                           "\\fBimgroup_code_name\\fR(3) names it. The class of an error, from",
                           "\\fBimgroup_error_class\\fR(3), tells what to do, and its outcome, from",
                           "\\fBimgroup_error_outcome\\fR(3), whether the request may have been applied."]
    else:
        page.lines.append("None: it cannot fail.")
    page.section("THREADS")
    page.paragraphs([inline(text, names, own) for text in rules])
    example(page, own, header)
    page.section("SINCE")
    page.lines.append(f"imgroup {comment.since or '0.1.0'}")
    page.section('"SEE ALSO"')
    see = [name for name in see_also(function, header) if name != own]
    page.lines.append(".BR imgroup (3)" + "," * bool(see))
    page.lines += [f".BR {name} (3)" + ("," if index + 1 < len(see) else "") for index, name in enumerate(see)]
    return page


# Whose page carries which of the small programs in examples/c.
EXAMPLES = {
    "imgroup_delete_lists": "delete_lists",
    "imgroup_add_lists": "create_and_read",
    "imgroup_error_class": "handle_errors",
    "imgroup_call_cancel": "cancel_and_deadline",
    "imgroup_job_run": "bulk_delete",
}


def example(page, name, header):
    """A whole program, or where one is that uses the function. The tests build and
    run them all."""
    programs = {owner: header.examples / f"{program}.c" for owner, program in EXAMPLES.items()}
    for owner, path in sorted(programs.items(), key=lambda item: item[0] != name):
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if re.search(rf"\b{name}\(", text):
            page.section("EXAMPLE")
            if owner == name:
                page.code(text)
            else:
                page.lines.append(f"\\fB{owner}\\fR(3) has a program that uses it.")
            return


def see_also(function, header):
    comment, names = function.comment, header.functions
    text = " ".join(comment.paragraphs + [comment.returns] + [text for _, text in comment.params])
    found = comment.see + re.findall(r"\bimgroup_\w+", text)
    kind = function.group(header)
    # The makers and the end of the object it works on.
    found += [name for name in (f"{kind}_new", f"{kind}_free") if kind]
    return [name for name in dict.fromkeys(found) if name in names]


def overview(header, date, version):
    names = header.functions
    page = Page("imgroup", 3, date, version)
    page.section("NAME")
    page.lines.append(f"imgroup \\- {escape(DESCRIPTION)}")
    page.section("SYNOPSIS")
    page.code("#include <imgroup.h>      /* C99 and later */\n#include <imgroup.hpp>    // C++17 and later\n\n"
              "cc program.c $(pkg-config --cflags --libs imgroup)")
    parts = re.split(r"^([A-Z][A-Z ,]+)$", header.preface, flags=re.M)
    titles = dict(zip(parts[1::2], parts[2::2]))
    rest = {title: text for title, text in titles.items() if title not in ("THE LIBRARY IN A PAGE",)}
    page.section("DESCRIPTION")
    page.lines += ["A server calls the friend\\-list part of the Tencent Cloud Chat (IM) REST API",
                   "through this library: it signs, sends, repeats what may be repeated, keeps to",
                   "the quota, and tells of every failure what became of the request."]
    if "THE LIBRARY IN A PAGE" in titles:
        page.section("EXAMPLE")
        page.code(re.sub(r"^  ", "", titles["THE LIBRARY IN A PAGE"].strip("\n"), flags=re.M).rstrip())
    for title, text in rest.items():
        page.section(f'"{title}"')
        last = None
        for block in re.split(r"\n\s*\n", text.strip("\n")):
            for item in re.split(r"\n(?=\S)", block):
                words = " ".join(item.split())
                named = re.match(r"([A-Z][a-z]+)\. (.*)", words)
                if named and "\n  " in item or named and last == "item":
                    page.entry(f".B {named[1]}", inline(named[2], names))
                    last = "item"
                else:
                    page.lines += [".PP", inline(words, names)]
                    last = "text"
    page.section("TYPES")
    for name, comment in header.types.items():
        page.entry(f".B {name}", inline(" ".join(comment.paragraphs), names))
    for name, (declaration, comment) in header.callbacks.items():
        page.entry(f".B {name}", inline(" ".join(comment.paragraphs), names))
        page.lines += [".IP", f".B {escape(declaration)}"]
    page.section("CONSTANTS")
    for name, comment in header.enums.items():
        page.subsection(f'"enum {name}"')
        page.lines.append(inline(" ".join(comment.paragraphs), names))
        for member, value, text in header.enum_members[name]:
            page.entry(f".BR {member} \" ({escape(str(value))})\"", inline(" ".join(text.paragraphs), names))
    page.section("FUNCTIONS")
    groups = {}
    for function in names.values():
        groups.setdefault(function.group(header), []).append(function)
    titles = {"": "Texts, codes, versions"}
    for kind in sorted(groups, key=lambda kind: ("imgroup_config imgroup_client imgroup_call imgroup_response imgroup_error".split() + [kind]).index(kind)):
        page.subsection('"' + titles.get(kind, kind) + '"')
        for function in groups[kind]:
            page.entry(f".BR {function.name} (3)", inline(summary(function.comment), names) + ".")
    page.section("ENVIRONMENT")
    page.lines.append("Read by \\fBimgroup_config_from_env\\fR(3) alone.")
    variables = {
        "IMGROUP_SDKAPPID": "The SDKAppID of the app.",
        "IMGROUP_IDENTIFIER": "An admin account of the app.",
        "IMGROUP_SECRET_KEY": "The key of the app.",
        "IMGROUP_SECRET_KEY_FILE": "A file that holds the key, where IMGROUP_SECRET_KEY is not set.",
        "IMGROUP_REGION": "The data centre, as for imgroup_config_set_region.",
        "IMGROUP_ENDPOINT": "Another host, as for imgroup_config_set_endpoint.",
        "IMGROUP_CA_FILE": "As for imgroup_config_set_ca_file.",
        "IMGROUP_TIMEOUT_MS": "As for imgroup_config_set_timeout_ms.",
        "IMGROUP_QUOTA_DIR": "As for imgroup_config_set_quota_directory.",
        "IMGROUP_QUOTA_SHARE": "As for imgroup_config_set_quota_share.",
        "IMGROUP_QUOTA_REDIS": "As for imgroup_config_set_quota_redis.",
    }
    said = " ".join(names["imgroup_config_from_env"].comment.paragraphs)
    for variable in re.findall(r"IMGROUP_[A-Z_]+", said):
        page.entry(f".B {variable}", inline(variables.get(variable, "See there."), names))
    page.section('"SEE ALSO"')
    page.lines.append(".BR imgroup (1)")
    return page


# ---------------------------------------------------------------- section 1


def run_help(command, *words):
    """The command's own help; wide, so that its lines are paragraphs."""
    environment = {"COLUMNS": "100", "PATH": "/usr/bin:/bin"}
    result = subprocess.run([command, *words, "--help"], env=environment, capture_output=True, text=True, check=True)
    return result.stdout


class Help:
    """One help text, taken apart: paragraphs, usage, and blocks under headings."""

    HEADING = re.compile(r"(?:\A|\n)\n?(?=[A-Z][^\n]{0,70}:(?:\n| [^\n]*\n))(?<=\n\n)|\A(?=Usage:)")

    def __init__(self, text):
        self.paragraphs, self.usage, self.blocks = [], "", []
        for block in self.HEADING.split(text):
            head = re.match(r"(\S[^\n]*):(?: (.*))?\n", block + "\n")
            if head and head[1] == "Usage":
                usage, _, block = block.partition("\n\n")
                self.usage = " ".join(usage.removeprefix("Usage:").split())
                head = None
            if head:
                rest = (block + "\n")[head.end():].rstrip("\n")
                self.blocks.append((head[1] + (f": {head[2]}" if head[2] else ""), rest))
            else:
                self.paragraphs += [part for part in re.split(r"\n\s*\n", block.strip()) if part]

    def options(self):
        """Options and arguments: (heading, term, paragraphs)."""
        for title, rest in self.blocks:
            if not re.search(r"^ {2,6}(-|<|\[)", rest, re.M):
                continue
            for entry in re.split(r"\n(?= {2,6}[-<\[])", "\n" + rest)[1:]:
                term, _, body = entry.strip().partition("\n")
                # The short form has its text on the same line.
                term, _, same = re.sub(r"   *", "\n", term, count=1).partition("\n")
                paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", same + "\n" + body)]
                paragraphs = [re.sub(r"\[env: (\w+)=?\]", r"[environment: \1]", part) for part in paragraphs if part]
                yield title, term, paragraphs

    def plain(self):
        """The other blocks: tables and examples, as they are."""
        blocks = [(title, rest) for title, rest in self.blocks if title != "Commands"]
        return [(title, rest) for title, rest in blocks if not re.search(r"^ {2,6}(-|<|\[)", rest, re.M)]

    def commands(self):
        """The commands below this one."""
        names = re.findall(r"^  ([a-z-]+)\b", dict(self.blocks).get("Commands", ""), re.M)
        return [name for name in names if name != "help"]


def command_pages(command, date, version):
    top = Help(run_help(command))
    helps = {}
    for name in top.commands():
        helps[name] = Help(run_help(command, name))
        for inner in helps[name].commands():
            helps[f"{name} {inner}"] = Help(run_help(command, name, inner))
    # What most commands have in common is said once.
    entries = [(term, tuple(text)) for one in helps.values() for _, term, text in one.options()]
    tables = [block for one in helps.values() for block in one.plain()]
    common = list(dict.fromkeys(entry for entry in entries if entries.count(entry) > 2 and entry[0].startswith("-")))
    tables = list(dict.fromkeys(block for block in tables if tables.count(block) > 2))

    page = Page("imgroup", 1, date, version)
    page.section("NAME")
    page.lines.append("imgroup \\- friend lists of Tencent Cloud Chat (IM) from the command line")
    page.section("SYNOPSIS")
    for number, one in enumerate(helps.values()):
        page.lines += [".br"] * bool(number) + [f".B {escape(one.usage)}"]
    page.section("DESCRIPTION")
    page.lines += ["One\\-off calls of the REST API for an operator or a script, jobs over many accounts, and an",
                   "emulator of the service for tests. Every command has its own \\fB\\-\\-help\\fR."]
    page.section("COMMANDS")
    for name, one in helps.items():
        page.subsection(f'"imgroup {name}"')
        for number, paragraph in enumerate(one.paragraphs):
            if number:
                page.lines.append(".PP")
            if paragraph.startswith(("  ", "{")):
                page.code(paragraph)
            else:
                page.lines.append(escape(" ".join(paragraph.split())))
        last = "Options Arguments"
        for title, term, text in one.options():
            if (term, tuple(text)) in common:
                continue
            if title not in last and len(helps) > 1 and len({t for t, *_ in one.options()}) > 2:
                page.lines += [".PP", f'.I "{escape(title)}"']
                last = title
            option(page, term, text)
        for title, rest in one.plain():
            if (title, rest) not in tables:
                page.lines += [".PP", f'.I "{escape(title)}"', ".RS 4"]
                page.code(rest)
                page.lines.append(".RE")
    if common:
        page.section('"COMMON OPTIONS"')
    for term, text in common:
        option(page, term, text)
    for title, rest in tables:
        title = title.upper().replace("EXIT CODES", "EXIT STATUS")
        page.section(f'"{escape(title)}"')
        for line in rest.splitlines():
            number, _, text = line.strip().partition("  ")
            page.entry(f".B {escape(number)}", escape(text.strip()))
    variables = {}
    for one in helps.values():
        for _, term, text in one.options():
            for variable in re.findall(r"\[environment: (\w+)\]", " ".join(text)):
                variables.setdefault(variable, term.split(", ")[-1].split()[0])
    page.section("ENVIRONMENT")
    for variable, term in sorted({"IMGROUP_SECRET_KEY": "", **variables}.items()):
        page.entry(f".B {variable}", f"As \\fB{escape(term)}\\fR." if term else "The secret key of the app.")
    page.section('"SEE ALSO"')
    page.lines.append(".BR imgroup (3)")
    return page


def option(page, term, text):
    page.lines += [".TP", ".B " + escape(term)]
    for number, paragraph in enumerate(text):
        if number:
            page.lines.append(".IP")
        page.lines.append(escape(paragraph))


# ---------------------------------------------------------------- command line


def changelog_date():
    """The day of the release: the pages come out the same wherever they are made."""
    text = (pathlib.Path(__file__).parent / "debian" / "changelog").read_text(encoding="utf-8")
    day, month, year = re.search(r"^ -- .*  \w+, (\d+) (\w+) (\d+)", text, re.M).groups()
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    return f"{year}-{months.index(month) + 1:02}-{int(day):02}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--header", required=True)
    parser.add_argument("--version", default="0.0.0")
    parser.add_argument("--command", help="the imgroup command, for its page")
    parser.add_argument("--output", type=pathlib.Path)
    parser.add_argument("--list", action="store_true", help="print the names of the pages")
    parser.add_argument("--symbols", metavar="ABI", help="print a dpkg symbols file")
    arguments = parser.parse_args()
    header = Header(arguments.header)
    if arguments.list:
        print("man1/imgroup.1", "man3/imgroup.3", *(f"man3/{name}.3" for name in header.functions), sep="\n")
        return
    if arguments.symbols:
        abi = arguments.symbols
        print(f"libimgroup.so.{abi} libimgroup{abi} #MINVER#")
        print("* Build-Depends-Package: libimgroup-dev")
        for name, function in sorted(header.functions.items()):
            print(f" {name}@Base {function.comment.since or '0.1.0'}")
        return
    date, output = changelog_date(), arguments.output
    overview(header, date, arguments.version).write(output / "man3" / "imgroup.3")
    for function in header.functions.values():
        function_page(function, header, date, arguments.version).write(output / "man3" / f"{function.name}.3")
    command_pages(arguments.command, date, arguments.version).write(output / "man1" / "imgroup.1")


if __name__ == "__main__":
    main()
