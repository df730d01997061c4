#!/usr/bin/env bash
# Installs what the project needs into the Python that `python3` names (best: an active virtual environment).
# usage: bash install_dependencies.sh [--analysis] [--envs] [--video] [--test] [--starcraft ...] [--dry-run]
#   --analysis  tables, figures, statistics, reports      --envs  PettingZoo and Gymnasium
#   --video     replays as mp4                            --test  all of these, pytest, ruff and mypy
#   --starcraft StarCraft II for Linux, SMAC's maps, the packages to talk to it, the smac package; with it:
#     --accept-license  consent to Blizzard's licence beforehand    --build 4.10|4.6.2  the client's version (4.10)
#     --sc2path FOLDER  where to (SC2PATH, else ~/StarCraftII)      --mirror URL        where from
#   --dry-run   say what would be done, do nothing
# Running it again changes nothing that is already right.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

requirements=(-r requirements.txt)
packages=no   # those to talk to StarCraft II
starcraft=no  # the game itself
game=()       # arguments for its installer
run=()        # what stands before a command: nothing, or a program that shows it
while (($#)); do
  case "$1" in
    --analysis|--envs|--video) requirements+=(-r "requirements-${1#--}.txt") ;;
    --test) packages=yes
      for file in requirements-*.txt; do
        [[ $file == requirements-starcraft.txt ]] || requirements+=(-r "$file")
      done ;;
    --starcraft) packages=yes starcraft=yes ;;
    --accept-license) game+=("$1") ;;
    --build|--sc2path|--mirror)
      (($# > 1)) || { echo "install_dependencies.sh: $1 needs a value" >&2; exit 2; }
      game+=("$1" "$2"); shift ;;
    --dry-run) game+=("$1") run=(echo) ;;
    -h|--help) sed -n '2,10s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "install_dependencies.sh: unknown argument '$1' (--help lists all: --analysis, --starcraft, ...)" >&2
      exit 2 ;;
  esac
  shift
done

python3 - <<'PY'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"install_dependencies.sh: Python 3.11 or newer is needed; python3 is {sys.version.split()[0]}")
PY
pip=("${run[@]}" python3 -m pip install --quiet --disable-pip-version-check)
echo "installing dependencies (the first time this takes some minutes: PyTorch is large)"
"${pip[@]}" "${requirements[@]}"
if [[ $packages == yes ]]; then  # without what pysc2 names and nobody needs; see that file
  "${pip[@]}" --no-deps -r requirements-starcraft.txt
fi
if [[ $starcraft == yes ]]; then
  # The official package is an environment beside ours (env official_smac), which works without it. It pins protobuf to
  # a version that cannot be had today, hence --no-deps.
  "${pip[@]}" --no-deps git+https://github.com/oxwhirl/smac.git ||
    echo "the smac package could not be installed; only env=official_smac needs it" >&2
  python3 src/envs/sc2_download.py "${game[@]}"
fi
[[ ${#run[@]} == 0 ]] || exit 0
python3 -W ignore -c 'import numba, sacred, torch, yaml'  # an incomplete installation shows here, not an hour into a run
echo "dependencies installed for $(python3 -c 'import sys; print(sys.executable)')"
