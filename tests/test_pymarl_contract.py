"""The contract with PyMARL: what files written for PyMARL2 or EPyMARL import and call is there, and such files train.

The first half checks import paths and signatures. The second half is a learner, an agent and a mixer as one writes them
for PyMARL2 (loops over time, a gather on the actions, target networks, RMSprop), which go through the real loop.
"""

import copy
import importlib
import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import torch as th
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import RMSprop

from components.episode_buffer import EpisodeBatch
from components.transforms import OneHot
from configuration import CONFIG_DIR, load_overlay, load_yaml, overlay
from run import assembly
from run.training import Label, Trainer
from utils.logging import Logger, get_logger
from utils.plugins import import_plugins
from utils.rl_utils import build_td_lambda_targets

# --- import paths and signatures -------------------------------------------------------------------------------------

FUNCTIONS_AND_CONSTRUCTORS = {
    "components.episode_buffer.EpisodeBatch": "scheme groups batch_size max_seq_length data preprocess device",
    "components.episode_buffer.EpisodeBatch.update": "self data bs ts mark_filled",
    "components.episode_buffer.EpisodeBatch.extend": "self scheme groups",
    "components.episode_buffer.EpisodeBatch.to": "self device",
    "components.episode_buffer.EpisodeBatch.max_t_filled": "self",
    "components.episode_buffer.ReplayBuffer": "scheme groups buffer_size max_seq_length preprocess device",
    "components.episode_buffer.ReplayBuffer.insert_episode_batch": "self ep_batch",
    "components.episode_buffer.ReplayBuffer.can_sample": "self batch_size",
    "components.episode_buffer.ReplayBuffer.sample": "self batch_size",
    "components.asymmetric_buffer.AsymmetricBuffer": "scheme groups buffer_size max_seq_length preprocess device",
    "components.asymmetric_buffer.AsymmetricBuffer.insert_episode_batch": "self ep_batch",
    "components.transforms.OneHot": "out_dim",
    "components.epsilon_schedules.DecayThenFlatSchedule": "start finish time_length decay",
    "components.epsilon_schedules.DecayThenFlatSchedule.eval": "self T",
    "components.action_selectors.categorical_entropy": "probs",
    "components.action_selectors.multinomial_entropy": "logits",
    "components.standarize_stream.RunningMeanStd": "epsilon shape device",
    "components.standarize_stream.RunningMeanStd.update": "self arr",
    "utils.rl_utils.build_td_lambda_targets": "rewards terminated mask target_qs n_agents gamma td_lambda",
    "utils.rl_utils.build_q_lambda_targets": "rewards terminated mask exp_qvals qvals gamma td_lambda",
    "utils.rl_utils.build_gae_targets": "rewards masks values gamma lambd",
    "utils.rl_utils.build_target_q": "td_q target_q mac mask gamma td_lambda n",
    "utils.rl_utils.RunningMeanStd": "epsilon shape",
    "utils.th_utils.get_parameters_num": "param_list",
    "utils.th_utils.orthogonal_init_": "m gain",
    "utils.th_utils.clip_by_tensor": "t t_min t_max",
    "utils.th_utils.init": "module weight_init bias_init gain",
    "utils.value_norm.ValueNorm": "input_shape norm_axes beta per_element_update epsilon",
    "utils.value_norm.ValueNorm.update": "self input_vector",
    "utils.value_norm.ValueNorm.normalize": "self input_vector",
    "utils.value_norm.ValueNorm.denormalize": "self input_vector",
    "utils.logging.get_logger": "",
    "utils.logging.Logger": "console_logger",
    "utils.logging.Logger.log_stat": "self key value t to_sacred",
    "utils.logging.Logger.print_recent_stats": "self",
    "utils.logging.Logger.setup_tb": "self directory_name",
    "utils.logging.Logger.setup_sacred": "self sacred_run",
    "modules.mixers.vdn.VDNMixer": "args",
    "modules.mixers.vdn.VDNMixer.forward": "self agent_qs batch",
    "modules.mixers.qmix.QMixer": "args",
    "modules.mixers.qmix.QMixer.forward": "self agent_qs states",
    "modules.mixers.nmix.Mixer": "args abs",
    "modules.mixers.nmix.Mixer.forward": "self qvals states",
    "modules.mixers.qatten.QattenMixer": "args",
    "modules.mixers.qatten.QattenMixer.forward": "self agent_qs states",
    "modules.mixers.qtran.QTranBase": "args",
    "modules.mixers.qtran.QTranBase.forward": "self batch hidden_states actions",
    "modules.mixers.dmaq_general.DMAQer": "args",
    "modules.mixers.dmaq_general.DMAQer.forward": "self agent_qs states actions max_q_i is_v",
    "envs.matrix_game.print_matrix_status": "batch mixer mac_out",
    "controllers.basic_controller.BasicMAC": "scheme groups args",
    "controllers.basic_controller.BasicMAC.select_actions": "self ep_batch t_ep t_env bs test_mode",
    "controllers.basic_controller.BasicMAC.forward": "self ep_batch t test_mode",
    "controllers.basic_controller.BasicMAC.init_hidden": "self batch_size",
    "controllers.basic_controller.BasicMAC.parameters": "self",
    "controllers.basic_controller.BasicMAC.load_state": "self other_mac",
    "controllers.basic_controller.BasicMAC.cuda": "self",
    "controllers.basic_controller.BasicMAC.save_models": "self path",
    "controllers.basic_controller.BasicMAC.load_models": "self path",
    "controllers.n_controller.NMAC": "scheme groups args",
    "controllers.n_controller.NMAC.select_actions": "self ep_batch t_ep t_env bs test_mode",
    "controllers.n_controller.NMAC.forward": "self ep_batch t test_mode",
}


def found(path: str):
    """The object under a dotted path."""
    parts = path.split(".")
    for n in range(len(parts) - 1, 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError as error:
            if not ".".join(parts[:n]).startswith(error.name or "?"):
                raise
            continue
        for name in parts[n:]:
            thing = getattr(thing, name)
        return thing
    raise ModuleNotFoundError(path)


def assert_takes(thing, names: str) -> None:
    """Callable with the given parameters, by these names and in this order; whatever it takes beside has a default."""
    wanted = names.split()
    parameters = list(inspect.signature(thing).parameters.values())
    assert [p.name for p in parameters[: len(wanted)]] == wanted
    assert all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters[: len(wanted)])
    for extra in parameters[len(wanted) :]:
        assert extra.default is not extra.empty or extra.kind in (extra.VAR_POSITIONAL, extra.VAR_KEYWORD), extra


@pytest.mark.parametrize("path", FUNCTIONS_AND_CONSTRUCTORS)
def test_import_path_and_signature(path):
    assert_takes(found(path), FUNCTIONS_AND_CONSTRUCTORS[path])


REGISTRIES = {
    "components": ("scheme groups buffer_size max_seq_length preprocess device", {"replay", "asymmetric"}),
    "components.action_selectors": ("args", {"multinomial", "soft_policies", "epsilon_greedy"}),
    "modules.agents": ("input_shape args", {"rnn", "n_rnn"}),
    "modules.critics": ("scheme args", {"cv_critic"}),
    "controllers": ("scheme groups args", {"basic_mac", "n_mac"}),
    "runners": ("args logger", {"episode", "parallel", "vector"}),
    "learners": ("mac scheme logger args", {"q_learner", "ppo_learner", "amal_learner"}),
}


@pytest.mark.parametrize("module", REGISTRIES)
def test_registry_has_pymarls_names_and_all_its_members_pymarls_constructor(module):
    registry = importlib.import_module(module).REGISTRY
    constructor, names = REGISTRIES[module]
    assert names <= set(registry)
    for name in registry:
        assert_takes(registry[name], constructor)


METHODS = {
    "learners": {
        "train": "self batch t_env episode_num",
        "cuda": "self",
        "save_models": "self path",
        "load_models": "self path",
    },
    "runners": {
        "setup": "self scheme groups preprocess mac",
        "run": "self test_mode",
        "get_env_info": "self",
        "close_env": "self",
    },
    "components.action_selectors": {"select_action": "self agent_inputs avail_actions t_env test_mode"},
    "modules.agents": {"init_hidden": "self"},
}


@pytest.mark.parametrize("module", METHODS)
def test_all_members_of_a_registry_have_pymarls_methods(module):
    registry = importlib.import_module(module).REGISTRY
    for name in registry:
        for method, parameters in METHODS[module].items():
            assert_takes(getattr(registry[name], method), parameters)


def test_environments_have_pymarls_methods():
    import envs

    methods = (
        "step reset close save_replay get_obs get_obs_agent get_obs_size get_state get_state_size get_avail_actions "
        "get_avail_agent_actions get_total_actions get_env_info get_stats"
    ).split()
    assert {"sc2", "matrix_game"} <= set(envs.REGISTRY)
    interface = importlib.import_module("envs.multiagentenv").MultiAgentEnv
    env = envs.REGISTRY["matrix_game"]()
    for method in methods:
        assert callable(getattr(interface, method))
        assert callable(getattr(env, method))
    assert {"state_shape", "obs_shape", "n_actions", "n_agents", "episode_limit"} <= set(env.get_env_info())
    env.reset()
    reward, terminated, info = env.step([0, 0])
    assert isinstance(reward, float)
    assert terminated is True
    assert isinstance(info, dict)


def test_scheme_has_pymarls_keys():
    info = {"state_shape": 4, "obs_shape": 3, "n_actions": 5, "n_agents": 2}
    scheme, groups = assembly.build_scheme(info, need_probs=True)
    batch = EpisodeBatch(scheme, groups, 1, 2, preprocess={"actions": ("actions_onehot", [OneHot(5)])})
    keys = "state obs actions avail_actions probs reward terminated filled actions_onehot".split()
    assert set(batch.scheme) == set(keys)
    assert all(key in batch for key in keys)


def test_logger_keeps_what_learners_log():
    logger = Logger(get_logger())
    logger.log_stat("loss", th.tensor(0.5), 10)
    assert logger.stats["loss"] == [(10, 0.5)]
    assert callable(logger.console_logger.info)


# --- a learner, an agent and a mixer in PyMARL2's manner --------------------------------------------------------------


class PlugInAgent(nn.Module):
    def __init__(self, input_shape, args):
        super(PlugInAgent, self).__init__()
        self.args = args
        self.fc1 = nn.Linear(input_shape, args.rnn_hidden_dim)
        self.rnn = nn.GRUCell(args.rnn_hidden_dim, args.rnn_hidden_dim)
        self.fc2 = nn.Linear(args.rnn_hidden_dim, args.n_actions)

    def init_hidden(self):
        return self.fc1.weight.new(1, self.args.rnn_hidden_dim).zero_()

    def forward(self, inputs, hidden_state):
        x = F.relu(self.fc1(inputs))
        h_in = hidden_state.reshape(-1, self.args.rnn_hidden_dim)
        h = self.rnn(x, h_in)
        q = self.fc2(h)
        return q, h


class PlugInMixer(nn.Module):
    def __init__(self, args):
        super(PlugInMixer, self).__init__()
        self.state_dim = int(np.prod(args.state_shape))
        self.bias = nn.Linear(self.state_dim, 1)

    def forward(self, agent_qs, states):
        return th.sum(agent_qs, dim=2, keepdim=True) + self.bias(states)


class PlugInLearner:
    def __init__(self, mac, scheme, logger, args):
        self.args = args
        self.mac = mac
        self.logger = logger
        self.mixer = PlugInMixer(args)
        self.target_mixer = copy.deepcopy(self.mixer)
        self.target_mac = copy.deepcopy(mac)
        self.params = list(mac.parameters()) + list(self.mixer.parameters())
        self.optimiser = RMSprop(params=self.params, lr=args.lr, alpha=args.optim_alpha, eps=args.optim_eps)
        self.last_target_update_episode = 0
        self.log_stats_t = -self.args.learner_log_interval - 1
        self.trained_on = []
        assert scheme["actions_onehot"]["vshape"] == (args.n_actions,)

    def train(self, batch, t_env, episode_num):
        rewards = batch["reward"][:, :-1]
        actions = batch["actions"][:, :-1]
        terminated = batch["terminated"][:, :-1].float()
        mask = batch["filled"][:, :-1].float()
        mask[:, 1:] = mask[:, 1:] * (1 - terminated[:, :-1])
        avail_actions = batch["avail_actions"]
        taken = (batch["actions_onehot"][:, :-1] * avail_actions[:, :-1]).sum(-1)
        assert ((taken == 1) | (mask == 0)).all()
        self.trained_on.append((batch.batch_size, batch.max_seq_length))

        mac_out = []
        self.mac.init_hidden(batch.batch_size)
        for t in range(batch.max_seq_length):
            agent_outs = self.mac.forward(batch, t=t)
            mac_out.append(agent_outs)
        mac_out = th.stack(mac_out, dim=1)
        chosen_action_qvals = th.gather(mac_out[:, :-1], dim=3, index=actions).squeeze(3)

        with th.no_grad():
            target_mac_out = []
            self.target_mac.init_hidden(batch.batch_size)
            for t in range(batch.max_seq_length):
                target_mac_out.append(self.target_mac.forward(batch, t=t))
            target_mac_out = th.stack(target_mac_out, dim=1)
            mac_out_detach = mac_out.clone().detach()
            mac_out_detach[avail_actions == 0] = -9999999
            cur_max_actions = mac_out_detach.max(dim=3, keepdim=True)[1]
            target_max_qvals = th.gather(target_mac_out, 3, cur_max_actions).squeeze(3)
            target_max_qvals = self.target_mixer(target_max_qvals, batch["state"])
            targets = build_td_lambda_targets(
                rewards, terminated, mask, target_max_qvals, self.args.n_agents, self.args.gamma, self.args.td_lambda
            )

        chosen_action_qvals = self.mixer(chosen_action_qvals, batch["state"][:, :-1])
        td_error = chosen_action_qvals - targets.detach()
        mask = mask.expand_as(td_error)
        loss = 0.5 * ((td_error * mask) ** 2).sum() / mask.sum()

        self.optimiser.zero_grad()
        loss.backward()
        grad_norm = th.nn.utils.clip_grad_norm_(self.params, self.args.grad_norm_clip)
        self.optimiser.step()

        if (episode_num - self.last_target_update_episode) / self.args.target_update_interval >= 1.0:
            self.target_mac.load_state(self.mac)
            self.target_mixer.load_state_dict(self.mixer.state_dict())
            self.logger.console_logger.debug("Updated target network")
            self.last_target_update_episode = episode_num

        if t_env - self.log_stats_t >= self.args.learner_log_interval:
            self.logger.log_stat("loss_td", loss.item(), t_env)
            self.logger.log_stat("grad_norm", grad_norm, t_env)
            self.log_stats_t = t_env

    def cuda(self):
        self.mac.cuda()
        self.target_mac.cuda()
        self.mixer.cuda()
        self.target_mixer.cuda()

    def save_models(self, path):
        self.mac.save_models(path)
        th.save(self.mixer.state_dict(), "{}/mixer.th".format(path))
        th.save(self.optimiser.state_dict(), "{}/opt.th".format(path))

    def load_models(self, path):
        self.mac.load_models(path)
        self.target_mac.load_models(path)
        self.mixer.load_state_dict(th.load("{}/mixer.th".format(path), map_location=lambda storage, loc: storage))
        self.optimiser.load_state_dict(th.load("{}/opt.th".format(path), map_location=lambda storage, loc: storage))


PLUG_IN_YAML = {
    "name": "plug_in",
    "action_selector": "epsilon_greedy",
    "epsilon_start": 1.0,
    "epsilon_finish": 0.05,
    "epsilon_anneal_time": 400,
    "agent": "plug_in_agent",
    "agent_output_type": "q",
    "learner": "plug_in_learner",
    "mac": "basic_mac",
    "rnn_hidden_dim": 16,
    "td_lambda": 0.6,
    "target_update_interval": 50,
    "lr": 0.002,
    "batch_size": 16,
    "buffer_size": 200,
    "seed": 1,
    "learner_log_interval": 100,
    "runner_log_interval": 100,
    "log_interval": 100,
    "device": "cpu",
    "use_cuda": False,
    "checkpoint_interval": 0,
}


@pytest.fixture
def plugged_in(monkeypatch):
    """The plug-ins' names in the registries, and one thread."""
    monkeypatch.setitem(importlib.import_module("learners").REGISTRY, "plug_in_learner", PlugInLearner)
    monkeypatch.setitem(importlib.import_module("modules.agents").REGISTRY, "plug_in_agent", PlugInAgent)
    th.set_num_threads(1)
    th.manual_seed(1)


def trained(env, tmp_path, **keys):
    """The trainer of a finished run of the plug-ins on `env`."""
    config = overlay(load_yaml(CONFIG_DIR / "default.yaml"), load_overlay("envs", env), env)
    env_args = {**config["env_args"], **keys.pop("env_args", {})}
    config = assembly.check({**config, **PLUG_IN_YAML, **keys, "env_args": env_args})
    args = SimpleNamespace(**config)
    parts = assembly.build(args, Logger(get_logger()), tmp_path / "buffer")
    trainer = Trainer(parts, args, tmp_path, Label("plug_in", env, 1, "", "", config))
    trainer.run()
    return trainer


def test_the_plug_ins_find_the_best_joint_action_of_a_matrix_game(plugged_in, tmp_path):
    payoff = [[0.0, 1.0, 2.0], [1.0, 3.0, 4.0], [2.0, 4.0, 8.0]]
    trainer = trained(
        "matrix_game", tmp_path, runner="episode", t_max=600, test_interval=200, test_nepisode=2,
        env_args={"payoff": payoff},
    )  # fmt: skip
    trainer.runner.close_env()
    tests = [value for _, value in trainer.logger.stats["test_return_mean"]]
    assert tests[-1] == 8.0
    assert {size for size, _ in trainer.learner.trained_on} == {16}
    assert trainer.logger.stats["loss_td"]
    assert trainer.logger.stats["epsilon"]


@pytest.mark.parametrize("runner", ["episode", "vector"])
def test_the_plug_ins_train_on_battles_and_their_models_load_again(plugged_in, tmp_path, runner):
    n_battles = 4 if runner == "vector" else 1
    trainer = trained(
        "sc2", tmp_path, runner=runner, batch_size_run=n_battles, batch_size=4, t_max=300, test_interval=10_000,
        test_nepisode=n_battles, env_args={"map_name": "3m"},
    )  # fmt: skip
    lengths = [length for _, length in trainer.learner.trained_on]
    assert lengths
    assert max(lengths) <= 61
    folder = trainer.save_models()
    before = [p.clone() for p in trainer.learner.params]
    with th.no_grad():
        for parameter in trainer.learner.params:
            parameter.zero_()
    trainer.learner.load_models(str(folder))
    assert all(th.equal(old, new) for old, new in zip(before, trainer.learner.params))
    assert trainer.runner.run(test_mode=True).max_t_filled() > 1
    trainer.runner.close_env()


def test_plug_in_modules_are_imported_by_name(monkeypatch, tmp_path):
    (tmp_path / "my_plug_in.py").write_text(
        "from modules.agents import REGISTRY\n"
        "from modules.agents.rnn_agent import RNNAgent\n\n\n"
        "class MyAgent(RNNAgent):\n    pass\n\n\n"
        'REGISTRY["my_agent"] = MyAgent\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = importlib.import_module("modules.agents").REGISTRY
    monkeypatch.setattr(importlib.import_module("modules.agents"), "REGISTRY", dict(registry))
    import_plugins(["my_plug_in"])
    assert importlib.import_module("modules.agents").REGISTRY["my_agent"].__name__ == "MyAgent"
