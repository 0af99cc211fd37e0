"""Money and the record: accounts, slices, holds, runs, charges, verdicts, reports.

Used by the data plane (`signalbox_proxy`) and by whoever reads the record (`signalbox_cli`).
It imports nothing else of Signalbox. Database drivers stay in the store modules.
"""
