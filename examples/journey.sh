#!/bin/sh
# From class folders to a checked model, as docs/your-data.md has it, on synthetic tissue. Research use only.
#
# sh examples/journey.sh journey
#
# Some minutes. --smoke trains in the smallest size and learns nothing: each tile gets the same class.
set -eu
needed='her2edge click PIL tensorflow matplotlib sklearn cryptography jinja2'
if ! command -v her2edge > /dev/null || ! python - $needed << 'END'
import sys
from importlib.util import find_spec
sys.exit(not all(map(find_spec, sys.argv[1:])))
END
then
    echo 'found no her2edge on the PATH with all that this needs: in the repository, make .venv with `make demo`, activate it' \
        'with `. .venv/bin/activate`, run `pip install --editable ".[cli,slides,train,quantize,sign,report]"` and this again' >&2
    exit 78
fi
here=$(cd "$(dirname "$0")" && pwd)
set -x
mkdir -p "$1"
cd "$1"
python "$here/draw_lab.py" lab

her2edge tiles --from-folders lab/tiles --mpp 0.25 --tile-px 64 --out cohort
her2edge recipe paper_efficientnetb0 | sed 's/protocol="tile-random"/protocol="slide-grouped"/' > my.py
her2edge train my.py --smoke --data cohort/cohort.csv --out run
her2edge evaluate run --out scores
her2edge quantize run --data cohort/cohort.csv --gate-data lab/other/slides.csv --scheme int8 --demo \
    --out her2.tflite
her2edge keygen --out lab.pem
her2edge sign her2.tflite --key lab.pem --epoch 1 --out her2-signed.tflite
her2edge verify her2-signed.tflite --trust lab.trust.json
her2edge classify --cohort lab/known/slides.csv --model her2-signed.tflite --report --out results
her2edge report results --cohort lab/known/slides.csv --model her2-signed.tflite
her2edge agree results --cohort lab/known/slides.csv --out kit
