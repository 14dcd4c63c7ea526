from gasl.report.rows import environment_rows, result_rows


def test_rows_in_words(result):
    rows = {row.name: row for row in result_rows(result)}
    assert list(rows)[-2:] == ["latency, batch 1", "latency, batch 128"]
    assert rows["test error"].change == "+0.14 points"
    assert rows["parameters"].change == "27.93x fewer"
    assert rows["latency, batch 128"].after == "4.9 ms (4.8 to 5.2)"


def test_slower_is_said(result):
    rows = {row.name: row for row in result_rows(result)}
    assert rows["latency, batch 1"].change == "1.25x slower"
    assert rows["latency, batch 128"].change == "4.35x faster"


def test_batch_sizes_are_in_the_order_of_numbers(result):
    for entry in (result["speedup"], *result["latency_ms"].values(), *result["latency_spread_ms"].values()):
        entry["32"] = entry["128"]
    assert [row.name for row in result_rows(result)[4:]] == [f"latency, batch {batch}" for batch in (1, 32, 128)]


def test_nothing_left_has_no_ratio(result):
    result["params"]["small"] = 0
    assert result_rows(result)[1].change == ""


def test_environment_holds_what_no_other_part_shows(result):
    rows = dict(environment_rows(result))
    assert rows == {
        "device": "a processor",
        "threads": "2",
        "seed": "7",
        "method": "GASL(strength=0.3)",
        "epochs": "3",
        "gasl": "0.1.0",
        "torch": "2.13.0",
    }
