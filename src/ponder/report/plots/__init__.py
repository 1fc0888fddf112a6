"""Pictures for papers: figure data are pure functions of loaded runs, drawing is thin.

`accuracy`, `calibration`, `entropy`, `pairs` and `choices` say what a figure shows; `curves`,
`forest` and `grid` draw it; `canvas` holds sizes, fonts and files, `writing` the whole set.
"""
