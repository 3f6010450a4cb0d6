"""Whether the API server turns the agent's account away, which waiting does not mend: account, role or binding is gone."""

from donjon.adapters.kubeapi.client import KubeApi
from donjon.adapters.metrics.node import NodeMetrics
from donjon.admission.policies.gaps import lost_rights
from donjon.runtime.trouble import Caution
from donjon.services.node.settings import NodeSettings
from donjon.services.node.state import AgentState

REJECTION_PATIENCE = 30.0  # seconds of nothing but 401 and 403


class RightsLook:
    """Tells, where all the agent hears is that it may not; a server that is away is no such thing."""

    def __init__(self, settings: NodeSettings, state: AgentState, metrics: NodeMetrics, api: KubeApi) -> None:
        self._settings, self._state, self._metrics, self._api = settings, state, metrics, api
        self._caution = Caution()

    def look(self) -> None:
        """One look at what was answered so far."""
        rejection = self._api.rejection
        lasts = rejection is not None and rejection.seconds >= REJECTION_PATIENCE
        finding = lost_rights(rejection.words, self._settings.chart.namespace) if rejection is not None and lasts else None
        if finding is None or self._state.rejection is None:  # Each answer has other words, and the first are told.
            self._state.rejection = finding
        self._caution.tell("the agent's rights", self._state.rejection)
        self._metrics.tell_rejected(rejected=finding is not None)
