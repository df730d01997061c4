#!/usr/bin/env bash
# Installs what the project needs into the Python that `python3` names (best: an active virtual environment).
# usage: bash install_dependencies.sh [--analysis] [--envs] [--video] [--test]
#   --analysis  tables, figures, statistics, reports      --envs  PettingZoo and Gymnasium interfaces
#   --video     replays as mp4                            --test  all of these, pytest, ruff and mypy
# Running it again changes nothing that is already right.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

requirements=(-r requirements.txt)
starcraft=no
for argument in "$@"; do
  case "$argument" in
    --analysis|--envs|--video) requirements+=(-r "requirements-${argument#--}.txt") ;;
    --test) starcraft=yes
      for file in requirements-*.txt; do
        [[ $file == requirements-starcraft.txt ]] || requirements+=(-r "$file")
      done ;;
    -h|--help) sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "install_dependencies.sh: unknown argument '$argument' (--analysis, --envs, --video, --test)" >&2; exit 2 ;;
  esac
done

python3 - <<'PY'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"install_dependencies.sh: Python 3.11 or newer is needed; python3 is {sys.version.split()[0]}")
PY
echo "installing dependencies (the first time this takes some minutes: PyTorch is large)"
python3 -m pip install --quiet --disable-pip-version-check "${requirements[@]}"
if [[ $starcraft == yes ]]; then  # without what pysc2 names and nobody needs; see that file
  python3 -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-starcraft.txt
fi
python3 -W ignore -c 'import numba, sacred, torch, yaml'  # an incomplete installation shows here, not an hour into a run
echo "dependencies installed for $(python3 -c 'import sys; print(sys.executable)')"
