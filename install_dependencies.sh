#!/usr/bin/env bash
# Installs what the project needs into the Python that `python3` names (best: an active virtual environment).
# usage: bash install_dependencies.sh [--test]      --test adds pytest, ruff and mypy
# Running it again changes nothing that is already right.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

requirements=(-r requirements.txt)
for argument in "$@"; do
  case "$argument" in
    --test) requirements+=(-r requirements-test.txt) ;;
    -h|--help) sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "install_dependencies.sh: unknown argument '$argument' (only --test exists)" >&2; exit 2 ;;
  esac
done

python3 - <<'PY'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"install_dependencies.sh: Python 3.11 or newer is needed; python3 is {sys.version.split()[0]}")
PY
echo "installing dependencies (the first time this takes some minutes: PyTorch is large)"
python3 -m pip install --quiet --disable-pip-version-check "${requirements[@]}"
python3 -W ignore -c 'import numba, sacred, torch, yaml'  # an incomplete installation shows here, not an hour into a run
echo "dependencies installed for $(python3 -c 'import sys; print(sys.executable)')"
