"""`donjon check` as a call, and manifests to call it with."""

from click.testing import CliRunner, Result

from donjon.cli.check import check

FAQ_JOB = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: sgx-test
spec:
  template:
    spec:
      containers:
      - name: sgxtest
        image: oeciteam/sgx-test:1.0
        resources:
          limits:
            sgx.intel.com/sgx_epc_mem_in_MiB: 10 # this limit alone places the job
      restartPolicy: Never
  backoffLimit: 0
"""


def checked(text: str, *arguments: str) -> Result:
    return CliRunner().invoke(check, ["-", *arguments], input=text)


def pod(resources: str, more: str = "") -> str:
    return f"""\
apiVersion: v1
kind: Pod
metadata:
  name: p
spec:
  containers:
  - name: app
    image: registry.example/app:1
    resources: {resources}
{more}"""
