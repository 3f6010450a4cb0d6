"""The appraisal language of Microsoft Azure Attestation, versions 1.0 to 1.2: claims and a policy to a decision with its trace.

Law: a policy that exists is well-formed and means something; `parsing` alone makes one from text. Evaluation answers with a value
for any policy and any claims, within bounds that are named: what cannot be computed is a *no* with its reason, never an error.
"""
