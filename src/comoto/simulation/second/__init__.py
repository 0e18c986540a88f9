"""The second exams: many looks of lesions, decoys, vendor styles, and one breast seen in two views.

``plan`` decides who is simulated, ``phantom`` compresses a breast in a view, ``exams`` exposes it; the
writers are those of the first exams (docs/simulation.md).
"""
