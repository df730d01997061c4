"""EPyMARL's `non_shared_mac`: every agent acts by a network of its own."""

from controllers.basic_controller import BasicMAC, registered
from modules.agents import REGISTRY as agent_REGISTRY
from modules.agents.non_shared import NonSharedAgents


class NonSharedMAC(BasicMAC):
    """As `basic_mac`, with `n_agents` networks of the kind that `agent` names."""

    def _build_agents(self, input_shape: int) -> None:
        make = registered(agent_REGISTRY, self.args.agent, "agent")
        self.agent = NonSharedAgents(make, input_shape, self._network_args())
        self.agent_axis = True
