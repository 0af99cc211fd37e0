"""Exports in the providers' real shapes are understood; what cannot be believed is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from signalbox_ledger import reconciliation_files
from signalbox_ledger.reconciliation_export import BilledSum, ExportError
from signalbox_ledger.reconciliation_files import read

Sample = Callable[[str], Path]
DAY = 1_790_035_200_000
NEXT = DAY + 86_400_000


def test_openai_costs_are_read_digit_by_digit(sample: Sample) -> None:
    export = read([sample("openai_costs.json")])
    assert (export.format, export.provider) == ("OpenAI cost API", "openai")
    assert [(each.model, each.pico) for each in export.sums] == [
        ("gpt-5.4-mini-2026-03-17", 12_100_000),
        ("gpt-5.4-mini-2026-03-17", 1_200_000_000),
    ]
    assert {(each.start, each.end) for each in export.sums} == {(DAY, NEXT)}


def test_openai_usage_counts_cached_input_apart_and_says_that_pages_are_missing(
    sample: Sample,
) -> None:
    export = read([sample("openai_usage.json")])
    assert export.incomplete
    assert export.sums[0] == BilledSum(
        start=DAY,
        end=NEXT,
        model="gpt-5.4-mini-2026-03-17",
        key="key_gateway",
        requests=5,
        input=200,
        cached=800,
        output=500,
    )


def test_anthropic_cost_is_in_cents(sample: Sample) -> None:
    export = read([sample("anthropic_cost.json")])
    assert (export.format, export.provider) == ("Anthropic cost API", "anthropic")
    assert [each.pico for each in export.sums] == [1_237_891_200_000]
    assert (export.sums[0].start, export.sums[0].end) == (DAY, NEXT)


def test_anthropic_usage_counts_cache_writes_as_input(sample: Sample) -> None:
    (found,) = read([sample("anthropic_usage.json")]).sums
    assert (found.input, found.cached, found.output) == (3000, 200, 500)
    assert (found.pico, found.requests) == (None, None)


@pytest.mark.parametrize(
    ("name", "format_", "expected"),
    [
        ("anthropic_cost.csv", "Anthropic Console cost", (50_000_000_000, None, None)),
        ("anthropic_usage.csv", "Anthropic Console usage", (None, 100_023, 4)),
        ("openai_costs.csv", "OpenAI dashboard costs", (3_835_980_000, None, None)),
        ("openai_usage.csv", "OpenAI dashboard usage", (None, 5_882, 1_280)),
    ],
)
def test_tables_of_consoles_are_told_apart_by_their_header(
    sample: Sample, name: str, format_: str, expected: tuple[int | None, int | None, int | None]
) -> None:
    export = read([sample(name)])
    first = export.sums[0]
    assert export.format == format_
    assert (first.pico, first.input, first.cached) == expected
    assert first.start == DAY


def test_requests_one_by_one_keep_their_place(sample: Sample) -> None:
    export = read([sample("requests.csv")])
    assert export.by_request
    first, second = export.requests.values()
    assert (first.request_id, first.pico, first.line, first.tokens) == ("req_1", 10_000_000, 2, 60)
    assert (second.pico, second.tokens) == (12_345_679, None)
    assert first.at == 1_790_078_401_000


def test_pages_may_come_one_a_line_in_a_list_or_in_several_files(
    sample: Sample, tmp_path: Path
) -> None:
    page = sample("anthropic_cost.json").read_text()
    flat = page.replace("\n", "")
    (tmp_path / "lines.json").write_text(f"{flat}\n{flat}\n")
    (tmp_path / "list.json").write_text(f"[{page},\n{page}]")
    assert len(read([tmp_path / "lines.json"]).sums) == 2
    assert len(read([tmp_path / "list.json"]).sums) == 2
    assert len(read([tmp_path / "list.json", sample("anthropic_cost.json")]).sums) == 3


def test_the_last_of_several_pages_makes_them_complete(sample: Sample, tmp_path: Path) -> None:
    first = sample("openai_usage.json").read_text()
    last = first.replace('"has_more": true', '"has_more": false')
    (tmp_path / "last.json").write_text(last)
    assert not read([sample("openai_usage.json"), tmp_path / "last.json"]).incomplete


def test_equal_lines_have_equal_digests_wherever_they_stand(sample: Sample, tmp_path: Path) -> None:
    header, first, second = sample("requests.csv").read_text().splitlines()
    (tmp_path / "turned.csv").write_text("\n".join((header, second, first)))
    turned = read([tmp_path / "turned.csv"]).requests
    for key, request in read([sample("requests.csv")]).requests.items():
        assert turned[key].digest == request.digest
    assert turned["req_1"].digest != turned["req_2"].digest


HEADER = "provider_request_id,amount_usd,currency,time\n"
GOOD = "req_1,0.01,usd,2026-09-22T12:00:00Z\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (HEADER + GOOD + "req_2,-0.5,usd,\n", "bill:3: amount_usd: -0.5 is negative"),
        (HEADER + GOOD + "req_2,0.5,EUR,\n", "bill:3: currency: 'EUR' is another currency"),
        (HEADER + GOOD + "req_2,half,usd,\n", "bill:3: amount_usd: 'half' is not a decimal"),
        (HEADER + GOOD + "req_2,0.5,usd,noon\n", "bill:3: time: 'noon' is no instant"),
        (HEADER + GOOD + ",0.5,usd,\n", "bill:3: provider_request_id: is empty"),
        (HEADER + GOOD + GOOD, "bill:3: request id: 'req_1' was billed in bill:2 already"),
        (HEADER + GOOD + "req_2,0.5\n", "bill:3: has 2 cells, the header has 4"),
        (HEADER + "r\x1b[31m,0.5,usd,\n", "bill:2: provider_request_id: has characters"),
        (HEADER + "r" * 300 + ",0.5,usd,\n", "bill:2: provider_request_id: has 300 characters"),
        (HEADER + '"req_2,0.5,usd,\n', "bill:2: is not CSV"),
        ("request_id,amount\nr,1\n", "bill:2: currency: is missing beside amount"),
        ("request_id,note\nr,1\n", "bill:1: the header names no amount"),
        ("request_id,request_id,amount_usd\n", "bill:1: the header names the column"),
        ("colour,taste\nred,sweet\n", "bill:1: the header is of no export that is known"),
        ('{"request_id": "r", "amount_usd": "1"}\n[]\n', "bill:2: is not a JSON object"),
        ('{"request_id": "r", "amount_usd": "1"}\n{"x"\n', "bill:2: is not JSON"),
        ('{"request_id": "r", "amount_usd": true}\n', "bill:1: amount_usd: is not a number"),
        ('{"request_id": "r"}\n', "bill:1: amount_usd: is missing"),
        ('{"amount_usd": "1"}\n', "bill:1: provider_request_id: is missing"),
        (
            '{"request_id": "r", "request_id": "s", "amount_usd": "1"}\n',
            "bill:1: the key 'request_id' stands in one object twice",
        ),
        (
            '{"object": "page", "data": [{"start_time": 1, "end_time": "x", "results": []}]}',
            "bill: data[0].end_time: ",
        ),
        ('{"data": [{"starting_at": "2026-09-22"}]}', "bill: data[0]: "),
        ("[" * 100_000, "bill:1: is nested too deeply"),
        ("", "bill: is empty"),
        ("\n\n", "bill: is empty"),
    ],
)
def test_what_cannot_be_believed_is_refused_with_its_place(
    tmp_path: Path, content: str, told: str
) -> None:
    path = tmp_path / "bill"
    path.write_text(content)
    with pytest.raises(ExportError) as refused:
        read([path])
    assert str(refused.value).startswith(told), refused.value


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (HEADER.encode() + b"req_\xff,1,usd,\n", "bill:2: is not UTF-8"),
        ("\ufeff".encode("utf-16"), "bill:1: is not UTF-8"),
        (b"\x1f\x8b\x08\x00", "bill:1: is not UTF-8"),
        (HEADER.encode() + b"a\x00b,1,usd,\n", "bill:2: contains NUL bytes"),
        (
            HEADER.encode() + b"a" * (reconciliation_files.MAX_LINE + 1),
            "bill:2: the line is longer",
        ),
    ],
)
def test_bytes_that_are_no_text_are_refused(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "bill"
    path.write_bytes(data)
    with pytest.raises(ExportError) as refused:
        read([path])
    assert str(refused.value).startswith(told)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    path = tmp_path / "bill"
    path.write_bytes(b"\xef\xbb\xbf" + (HEADER + GOOD).encode())
    assert list(read([path]).requests) == ["req_1"]


def test_a_file_given_twice_is_refused(sample: Sample, tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    copy.write_bytes(sample("requests.csv").read_bytes())
    with pytest.raises(ExportError, match=r"was billed in requests\.csv:2 already"):
        read([sample("requests.csv"), copy])


def test_kinds_of_exports_are_not_mixed(sample: Sample) -> None:
    with pytest.raises(ExportError, match="one after the other"):
        read([sample("requests.csv"), sample("openai_costs.csv")])


def test_progress_is_told_in_bytes(sample: Sample) -> None:
    told: list[int] = []
    read([sample("requests.csv")], told.append)
    assert sum(told) == sample("requests.csv").stat().st_size
