"""What must hold when things go wrong: reliability.py and tables.py make docs/reliability.md of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"


@dataclass(frozen=True)
class Promise:
    """What must hold when things go wrong, how it is asked, the tests that show it: FILE or FILE::NAME."""

    number: int
    must_hold: str
    asked: str
    tests: tuple[str, ...]


def place_of(test: str) -> str:
    """FILE::NAME as pytest takes it: where the one file of that name lies; ValueError where none is."""
    file, separator, name = test.partition("::")
    (path,) = TESTS.rglob(file)
    return f"{path}{separator}{name}"


PROMISES = (
    Promise(
        1,
        "Model bytes are hashed before any parser sees them",
        "every single-byte flip and every truncation of a small model refused",
        (
            "test_pack.py::test_each_single_flipped_byte_and_each_length_is_refused_before_any_parser_sees_it",
            "test_pack.py::test_every_flipped_bit_is_refused",
        ),
    ),
    Promise(
        2,
        "Models are used from memory, not from their file",
        "file deleted or truncated after load, 50 times, no crash",
        ("test_runtimes.py::test_a_file_cut_or_deleted_after_loading_costs_nothing",),
    ),
    Promise(
        3,
        "Signature and epoch, where a key is trusted",
        "wrong key, missing signature, older epoch: exit code 78, never another model instead",
        ("test_sign.py", "test_sign_command.py", "test_trust.py"),
    ),
    Promise(
        4,
        "Golden tiles are run when a model is loaded",
        "int8 identical where the same runtime made them, else 0.03 and the same class; a false file refused",
        ("test_selftest.py",),
    ),
    Promise(
        5,
        "A network's operators, shapes, types and quantisation are its manifest's",
        "10 hostile variants refused",
        ("test_hostile_model.py",),
    ),
    Promise(
        6,
        "kill -9 in the middle of a slide, then the same command again",
        "100 of 100: the files of an undisturbed run; computed again at most: a batch and tiles under way",
        (
            "test_kills.py::test_kill_minus_nine_at_any_moment_costs_at_most_a_batch",
            "test_classify_resume.py",
        ),
    ),
    Promise(
        7,
        "Torn journals",
        "log cut at 200 places: a prefix of the commits; file cut: found, set aside, computed again",
        (
            "test_journal.py::test_a_log_cut_anywhere_is_a_prefix_of_the_commits",
            "test_journal.py::test_a_log_with_a_flipped_bit_is_a_prefix_of_the_commits",
            "test_journal.py::test_a_file_cut_anywhere_is_set_aside_and_begun_afresh",
            "test_journal.py::test_a_flipped_bit_is_never_read_as_a_result",
            "test_journal.py::test_where_there_is_no_log_a_rollback_journal_does_the_same",
        ),
    ),
    Promise(
        8,
        "Files appear whole or not at all",
        "100 kills during a run that writes: never a partial file",
        (
            "test_kills.py::test_kill_minus_nine_at_any_moment_costs_at_most_a_batch",
            "test_outputs.py::test_a_disk_that_fills_at_any_sync_leaves_whole_files_only",
        ),
    ),
    Promise(
        9,
        "Disk full",
        "the n-th write fails, for all n: 74 or success, and the next run ends well",
        (
            "test_faults.py::test_a_write_that_fails_ends_with_74_and_the_next_run_ends_well",
            "test_faults.py::test_a_write_that_fails_while_going_on_loses_nothing",
            "test_faults.py::test_a_disk_that_is_full_at_any_size_of_file_ends_with_74_and_the_next_run_ends_well",
            "test_watch_trouble.py",
        ),
    ),
    Promise(
        10,
        "A bad tile costs one tile",
        "exactly the bad ones `failed`, the others identical",
        (
            "test_faults.py::test_a_region_that_cannot_be_read_costs_its_tile_and_a_later_run_nothing",
            "test_faults.py::test_an_image_that_cannot_be_decoded_costs_its_tile_and_the_next_run_ends_well",
            "test_faults.py::test_an_inference_that_fails_costs_its_tile_or_refuses_the_model",
            "test_slide.py::test_one_unreadable_region_costs_one_tile_and_one_reopened_handle",
            "test_isolate.py",
        ),
    ),
    Promise(
        11,
        "Damaged slides, images, annotations, models, stain fits",
        "2,000 mutants per format: typed errors only, no signal, each within 10 s",
        ("test_mutants.py",),
    ),
    Promise(
        12,
        "Decompression bombs",
        "refused within 1 s and 256 MB",
        (
            "test_slide_bad_input.py::test_an_image_that_claims_too_many_pixels_is_refused_at_once",
            "test_slide_bad_input.py::test_a_tiff_that_claims_giant_stored_tiles_is_refused",
            "test_slide_bad_input.py::test_stored_jpegs_with_a_forged_size_cost_their_tiles_and_no_memory",
        ),
    ),
    Promise(
        13,
        "Long runs",
        "100,000 tiles: memory grows by at most 1 MB per 10,000, handles not at all (benchmarks/soak.py)",
        ("test_soak.py",),
    ),
    Promise(
        14,
        "A slow consumer of a fast feed",
        "queues within their bounds; `block` drops nothing, the others count every drop",
        (
            "test_feed.py::test_a_callback_that_hangs_stalls_no_scanner_and_every_drop_is_counted",
            "test_feed.py::test_with_block_a_slow_callback_slows_submit_and_loses_nothing",
            "test_feed.py::test_a_full_feed_drops_the_tile_its_policy_names",
        ),
    ),
    Promise(
        15,
        "SIGTERM, SIGINT",
        "50 of 50 each: over within 5 s, 143 or 130, gone on with",
        (
            "test_kills.py::test_a_signal_ends_a_run_within_five_seconds_and_loses_nothing",
            "test_stopping.py",
            "test_isolate.py::test_a_decoder_that_hangs_delays_no_end",
            "test_journal.py::test_who_is_told_to_end_ends_though_the_disk_is_full",
        ),
    ),
    Promise(
        16,
        "The same bytes for 1, 2, 4 threads, interrupted or not, command or API",
        "identical",
        (
            "test_classify_resume.py::test_threads_and_interpreters_may_change_in_between",
            "test_classify_resume.py::test_the_files_are_the_same_through_the_api",
            "test_cli.py::test_classify_stream_and_the_command_give_identical_numbers",
            "test_runtimes.py::test_threads_change_no_byte_of_another_runtime",
        ),
    ),
    Promise(
        17,
        "Every tile submitted ends in exactly one outcome; the counts add up",
        "a hypothesis state machine",
        ("test_feed_ledger.py",),
    ),
    Promise(
        18,
        "Any uint8 tile through filter and normaliser",
        "5,000 tiles: a status always, no NaN, no exception",
        (
            "test_stain_total.py::test_five_thousand_random_tiles_get_an_answer",
            "test_feed_tiles.py::test_five_thousand_tiles_of_any_pixels_are_answered_with_a_status_and_numbers",
        ),
    ),
    Promise(
        19,
        "Hostile names",
        "nothing outside the output folder",
        (
            "test_outputs.py::test_no_slide_name_leaves_the_output_folder",
            "test_cli.py::test_a_name_that_is_no_unicode_is_shown_with_question_marks",
            "test_cli.py::test_a_slide_name_too_long_for_the_system_is_refused",
        ),
    ),
    Promise(
        20,
        "Numba's cache is pickle: private or not used",
        "group-writable or linked: refused, goes on without",
        ("test_jit.py::test_a_folder_that_others_could_write_to_is_not_used",),
    ),
    Promise(
        21,
        "No network, ever",
        "no socket is opened; the demo runs where there is no network",
        (
            "test_package.py::test_importing_the_sdk_pulls_in_nothing_heavy_and_opens_no_socket",
            "test_runtimes.py::test_no_runtime_opens_a_socket",
            "test_deploy.py::test_the_wheelhouse_installs_and_classifies_from_local_files_only",
        ),
    ),
    Promise(
        22,
        "A clock that is wrong by 20 years",
        "the same results",
        (
            "test_classify_resume.py::test_a_clock_that_is_wrong_by_twenty_years_changes_nothing",
            "test_watch.py::test_a_clock_that_jumps_by_twenty_years_changes_nothing",
            "test_doctor.py::test_the_clock_and_the_network_do_not_matter",
        ),
    ),
    Promise(
        23,
        "The SDK never loads pickle, .h5 or .keras",
        "a look at every source",
        ("test_package.py::test_no_source_loads_pickles_prints_or_is_too_long",),
    ),
    Promise(
        24,
        "What slides say of themselves in CSV and HTML",
        "cells that begin like formulas are defused",
        ("test_outputs.py::test_no_cell_is_a_formula",),
    ),
    Promise(
        25,
        "A signal handler raises at any moment of submit, classify, stream",
        "every n-th bytecode, random alarms: no hang, sums right, every ticket ends, no thread left",
        (
            "test_interrupts.py::test_interrupted_at_any_place_a_classifier_answers_as_before_and_leaves_no_thread",
            "test_interrupts.py::test_interrupted_at_any_place_a_feed_adds_up_and_ends_every_ticket",
            "test_interrupts.py::test_a_consumer_that_was_interrupted_is_asked_for_again_and_gets_every_result",
            "test_interrupts.py::test_a_hundred_alarms_at_random_moments_break_nothing",
            "test_interrupts.py::test_a_thousand_alarms_at_random_moments_break_nothing",
        ),
    ),
    Promise(
        26,
        "A fork while the SDK is busy",
        "50 of 50 children: a typed refusal; what lives in one process says so where it is pickled",
        (
            "test_interrupts.py::test_forked_from_a_busy_process_a_child_is_refused_at_once",
            "test_interrupts.py::test_what_lives_in_one_process_says_so_where_it_is_to_be_sent",
        ),
    ),
    Promise(
        27,
        "Whose results: same bytes under two names, two slides of one name, a slide changed in place",
        "results of its own or a refusal; a changed slide is never complete",
        ("test_identity.py", "test_watch_identity.py"),
    ),
    Promise(
        28,
        "What the pixels are: 16-bit, grey, channel pages, false alpha, orientation, labels, rounded levels",
        "refused by name, or equal to an independent reading",
        ("test_pixels.py", "test_levels.py", "test_dicom.py"),
    ),
    Promise(
        29,
        "Two commands into one output, of any verb",
        "all rows of both, or a typed refusal; never 0 with rows lost",
        (
            "test_two_commands.py::test_two_tiles_commands_into_one_folder_lose_no_row_in_ten_rounds",
            "test_two_commands.py::test_a_verb_refuses_where_another_is_at_work_and_changes_nothing",
            "test_two_commands.py::test_every_verb_that_writes_is_in_the_table",
            "test_two_commands.py::test_fresh_beside_another_run_of_the_slide_ends_in_one_set_of_files",
            "test_two_commands.py::test_trust_waits_for_another_trust_and_then_sees_what_it_wrote",
            "test_alone.py",
        ),
    ),
    Promise(
        30,
        "Damage behind a model's hash; what a member unpacks to",
        "2,000 mutants of each part: used or refused by a typed error, at most 256 MB more memory",
        (
            "test_mutants.py::test_a_model_damaged_behind_its_hash_is_used_or_refused_and_takes_no_memory",
            "test_arrays.py::test_what_unpacks_to_much_is_refused_before_it_is_unpacked",
        ),
    ),
    Promise(
        31,
        "Annotations of 2,000 crossing points and of a million vertices",
        "within 1 GB, or refused by name",
        (
            "test_drawn_kinds.py::test_outlines_too_tangled_to_be_repaired_in_seconds_are_refused_by_name",
            "test_drawn_kinds.py::test_a_million_vertices_take_seconds_and_a_gigabyte_at_most",
            "test_drawn_kinds.py::test_more_vertices_than_fit_into_memory_are_refused_by_name",
        ),
    ),
    Promise(
        32,
        "stdout or stderr full or closed",
        "watch goes on and counts; classify finishes its slides, then 74 or 141; no traceback",
        (
            "test_streams.py::test_classify_finishes_its_slides_and_then_says_by_its_code_that_lines_are_lost",
            "test_streams.py::test_watch_drops_the_lines_counts_them_and_goes_on",
            "test_streams.py::test_no_verb_ends_in_a_traceback_where_its_help_or_its_error_cannot_be_said",
            "test_streams.py::test_a_bar_on_a_terminal_that_is_gone_ends_nothing",
            "test_streams.py::test_a_stream_that_was_closed_from_the_start_takes_no_other_files_place",
            "test_streams.py::test_each_line_that_did_not_get_out_whole_is_counted_once",
        ),
    ),
    Promise(
        33,
        "Whose the way to trust.json and to the kernel cache is",
        "root's or this user's, every folder and link; no variable switches a machine's trust off",
        (
            "test_trust.py::test_a_trust_file_on_whose_way_another_user_owns_anything_lets_nothing_load",
            "test_trust.py::test_a_link_that_another_user_may_turn_lets_nothing_load",
            "test_trust.py::test_no_variable_switches_the_trust_of_the_machine_off",
            "test_jit.py::test_a_folder_that_others_could_write_to_is_not_used",
        ),
    ),
    Promise(
        34,
        "One failed tile among 4,096, then the same command again",
        "the failed tiles only are read, to the files of an undisturbed run",
        ("test_failed_tiles.py",),
    ),
    Promise(
        35,
        "What is no tissue does not vote: black, ink, flat, noise, inverted, blurred tiles",
        "a slide of which 30 % is such has the same label, or none and says why",
        ("test_not_tissue.py",),
    ),
    Promise(
        36,
        "A settled answer, killed or interrupted and resumed",
        "stops at the same tile, the files of an undisturbed run",
        (
            "test_settled.py::test_interrupted_again_and_again_it_stops_there_too",
            "test_settled.py::test_killed_at_any_moment_it_stops_at_the_same_tile_with_the_same_files",
            "test_settled.py::test_interrupted_among_failed_tiles_or_after_them_it_leads_there_too",
        ),
    ),
    Promise(
        37,
        "A page: a slide named `<script>`, 20,000 tiles, no network",
        "text stays text, below 2.5 MB, no request; tiles and counts are those of tiles.csv and of level 0",
        (
            "test_page.py::test_markup_in_a_slides_name_stays_text",
            "test_page.py::test_twenty_thousand_tiles_of_noise_stay_below_two_and_a_half_megabytes",
            "test_page.py::test_the_page_asks_nobody_for_anything_and_runs_nothing",
            "test_page.py::test_tiles_on_the_page_are_in_the_table_at_their_places_with_their_numbers_and_vote",
            "test_page.py::test_the_crops_on_the_page_are_those_of_level_0",
            "test_page.py::test_every_tile_is_accounted_for_and_the_sums_add_up",
            "test_browser.py::test_it_renders_and_asks_for_nothing_but_itself",
        ),
    ),
    Promise(
        38,
        "A cohort: a worker, the scheduler or the driver killed; a slide that kills its process",
        "50 kills at any moment: the rows of an undisturbed run, once each; the poison slide is set aside",
        (
            "test_cohort_kills.py",
            "test_dask_engine.py::test_a_slide_that_kills_its_worker_is_set_aside_the_others_are_done_and_only_this_machine_is_heard",
            "test_work.py::test_a_slide_that_kills_its_process_is_set_aside_after_its_tries_and_the_others_are_done",
        ),
    ),
)
