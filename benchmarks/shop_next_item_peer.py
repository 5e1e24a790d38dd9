"""RecTools' SASRec and eSASRec blocks on a leave-one-out file, measured after each epoch with our ranking.

    benchmarks/peers_shop.sh /tmp/peers-shop
    export MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=9000000000 GLIBC_TUNABLES=glibc.malloc.hugetlb=1
    OMP_NUM_THREADS=2 /tmp/peers-shop/bin/python benchmarks/shop_next_item_peer.py Beauty.txt --precision bf16-mixed

The first line keeps glibc from giving back the 310 MB of a batch's scores each time: with it and mixed precision, an
epoch takes the peer a third of the time (Beauty, two cores: 525 s to 185 s). The peer gets both.
Settings are RecTools' documented defaults (2 blocks, 4 heads, 256 factors, dropout 0.2, learning rate 0.001, batches of
128, full softmax) with sequences of 50, as published for these files. `esasrec` has its LiGR blocks. Training leaves
out the last two items of each person; early stopping watches validation NDCG@10. Seconds are of training alone.
Prints one JSON line per epoch, and one at the end.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.transformers.ligr import LiGRLayers

HERE = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location(
    "ranking", HERE / "src" / "ikkan" / "apps" / "shop" / "rules" / "next_item" / "ranking.py"
)
assert SPEC is not None and SPEC.loader is not None
ranking: Any = importlib.util.module_from_spec(SPEC)
sys.modules["ranking"] = ranking
SPEC.loader.exec_module(ranking)

PER_BATCH = 512


class Watch(Callback):
    """Times training, ranks after each epoch, stops by validation or at the cap."""

    def __init__(self, histories: list[list[str]], given: argparse.Namespace) -> None:
        self.histories, self.given = histories, given
        self.training_s, self.cpu_s, self.began, self.best, self.since = 0.0, 0.0, (0.0, 0.0), {}, 0
        self.rows: list[dict[str, Any]] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Watch:
        return self  # RecTools copies its trainer; the one that watches must stay the one we ask

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.began = (time.perf_counter(), time.process_time())

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.training_s += time.perf_counter() - self.began[0]
        self.cpu_s += time.process_time() - self.began[1]
        row: dict[str, Any] = {
            "epoch": trainer.current_epoch + 1,
            "training_s": round(self.training_s, 1),
            "cpu_s": round(self.cpu_s, 1),
        }
        for name, cut in (("validation", 2), ("test", 1)):
            row[name] = ranking.means(ranked(pl_module, self.histories, cut, self.given.length))
        self.rows.append(row)
        print(json.dumps(row), flush=True)
        if not self.best or row["validation"]["ndcg@10"] > self.best["validation"]["ndcg@10"]:
            self.best, self.since = row, 0
        else:
            self.since += 1
        trainer.should_stop = self.since >= self.given.patience or self.training_s > self.given.cap_s


def ranked(module: Any, histories: list[list[str]], cut: int, length: int) -> Any:
    """Ranks of the item `cut` from the end, with everything before it as input."""
    model, rows = module.torch_model, module.data_preparator.item_id_map.to_internal
    model.eval()
    found = []
    with torch.no_grad():
        vectors = model.item_model.get_all_embeddings()
        for start in range(0, len(histories), PER_BATCH):
            some = [[rows.get(item, -1) for item in each] for each in histories[start : start + PER_BATCH]]
            seen = [np.array([row for row in each[:-cut] if row >= 0]) for each in some]
            padded = np.zeros((len(some), length), dtype=np.int64)
            for at, each in enumerate(seen):
                padded[at, length - min(length, len(each)) :] = each[-length:]
            states = model.encode_sessions({"x": torch.from_numpy(padded)}, vectors)[:, -1]
            scores = (states @ vectors.T).numpy()
            scores[:, 0] = -np.inf  # the padding token is no item
            found.append(ranking.ranks(scores, seen, np.array([each[-cut] for each in some])))
    model.train()
    return np.concatenate(found)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("file", type=Path)
    options.add_argument("--kind", choices=("sasrec", "esasrec"), default="sasrec")
    options.add_argument("--loss", choices=("softmax", "sampled_softmax"), default="softmax")
    options.add_argument("--length", type=int, default=50)
    options.add_argument("--factors", type=int, default=256)
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--epochs", type=int, default=100)
    options.add_argument("--patience", type=int, default=5)
    options.add_argument("--cap-s", type=float, default=7200.0)
    options.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true")
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    seed_everything(given.seed)
    histories = [line.split()[1:] for line in given.file.read_text().splitlines()]
    training = [(user, item, at) for user, each in enumerate(histories) for at, item in enumerate(each[:-2])]
    frame = pd.DataFrame(training, columns=[Columns.User, Columns.Item, Columns.Datetime])
    frame[Columns.Datetime] = pd.Timestamp("2020-01-01") + pd.to_timedelta(frame[Columns.Datetime], unit="D")
    frame[Columns.Weight] = 1.0
    watch = Watch(histories, given)
    blocks = {"transformer_layers_type": LiGRLayers} if given.kind == "esasrec" else {}
    model = SASRecModel(
        n_factors=given.factors,
        session_max_len=given.length,
        batch_size=given.batch,
        loss=given.loss,
        n_negatives=256 if given.loss == "sampled_softmax" else 1,
        get_trainer_func=lambda: Trainer(
            max_epochs=given.epochs,
            accelerator="cpu",
            precision=given.precision,
            enable_checkpointing=False,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[watch],
        ),
        **blocks,
    )
    model.fit(Dataset.construct(frame))
    print(
        json.dumps(
            {
                "metric": f"peer_{given.kind}",
                "file": given.file.name,
                "loss": given.loss,
                "precision": given.precision,
                "seed": given.seed,
                "threads": torch.get_num_threads(),
                "epochs": len(watch.rows),
                "training_s": round(watch.training_s, 1),
                "cpu_s": round(watch.cpu_s, 1),
                "cap_s": given.cap_s,
                "best": watch.best,
            }
        )
    )


if __name__ == "__main__":
    main()
