"""A study's files to a report: ``plan`` chooses series for the models, ``reading`` reads them
together, ``describe`` turns what they found into findings and structures.
"""
