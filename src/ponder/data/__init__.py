"""Problems that come with ponder, as JSON Lines: `problem`, `answer`, `level` (steps), `id`.

`grade-school-tune.jsonl` is for choosing prompts, separators and verifiers, and
`grade-school-report.jsonl` for reporting what the choice does. Both are made by
`tools/make_problems.py` and share no problem.
"""
