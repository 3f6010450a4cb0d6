"""Why a pod does not run: the pod, its nodes and what was said of it to an explanation with the next step.

Law: explanations only. What the cluster said comes in as JSON, what to tell a person goes out; nothing here asks the cluster.
"""
