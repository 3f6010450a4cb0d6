"""What whoever runs a cluster chooses about the rules for pods, as settings of every program that prints or applies them."""

from donjon.admission.settings import Settings
from donjon.runtime.settings import Setting, SettingForm, Values, several, switch


def account(text: str) -> str:
    """The NAMESPACE:NAME of a service account; raises `ValueError` that says what is expected."""
    namespace, _, name = text.partition(":")
    if not namespace or not name or ":" in name:
        raise ValueError("NAMESPACE:NAME, such as team:quoting")
    return text


CHOICES = (
    PROVISION_ACCOUNT := Setting(
        "provision-account",
        several(account),
        "",
        "A service account whose pods may have the provisioning key, besides namespaces with the label; may be repeated.",
        "NAMESPACE:NAME",
        SettingForm.SEVERAL,
    ),
    PROVISION_BY_ANNOTATION := Setting(
        "provision-by-annotation",
        switch,
        "false",
        "As Intel's webhook does: whoever annotates a pod may have the provisioning key.",
        form=SettingForm.SWITCH,
    ),
    REFUSE_HOST_DEVICES := Setting(
        "refuse-host-devices",
        switch,
        "false",
        "Refuse pods that mount SGX devices from the host, or ask for SGX and are privileged, instead of a warning.",
        form=SettingForm.SWITCH,
    ),
)
"""Commands that print or apply the rules once have the same options."""


def rules(values: Values) -> Settings:
    """What they say."""
    return Settings(
        provision_accounts=values[PROVISION_ACCOUNT],
        provision_by_annotation=values[PROVISION_BY_ANNOTATION],
        refuse_host_devices=values[REFUSE_HOST_DEVICES],
    )
