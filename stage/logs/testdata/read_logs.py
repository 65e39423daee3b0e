"""What the tools' own readers find in a run's folder, as JSON: {"tool version": numbers}.

Run with tensorboard, trackio, wandb and transformers; of wandb a version up to 0.21, whose reader of offline files is
in Python. TestReaders runs it with the Python that STEPLM_LOG_READERS names.
"""
import glob
import json
import os
import sys
from importlib.metadata import version

run = sys.argv[1]
says = {}


def tensorboard():
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(run, size_guidance={"scalars": 0})
    events.Reload()
    texts = {}
    for tag in sorted(events.Tags()["tensors"]):
        plugin = events.SummaryMetadata(tag).plugin_data.plugin_name
        texts[tag] = [[plugin, t.step, *(s.decode() for s in t.tensor_proto.string_val)] for t in events.Tensors(tag)]
    scalars = {tag: [[s.step, s.value] for s in events.Scalars(tag)] for tag in sorted(events.Tags()["scalars"])}
    return {"scalars": scalars, "texts": texts}


def trackio():
    os.environ["TRACKIO_DIR"] = os.path.join(run, "trackio")
    from trackio.sqlite_storage import SQLiteStorage as storage
    found = {}
    for project in storage.get_projects():
        for name in storage.get_runs(project):
            config = storage.get_run_config(project, name)
            found[f"{project}/{name}"] = {
                "config": config, "logs": [{k: v for k, v in row.items()} for row in storage.get_logs(project, name)]}
    return found


def wandb():
    from wandb.proto import wandb_internal_pb2 as pb
    from wandb.sdk.internal.datastore import DataStore
    rows = []
    for path in sorted(glob.glob(os.path.join(glob.escape(run), "wandb", "offline-run-*", "run-*.wandb"))):
        store = DataStore()
        store.open_for_scan(path)
        while True:
            try:
                data = store.scan_data()
            except AssertionError:  # what a kill cut
                break
            if data is None:
                break
            record = pb.Record()
            record.ParseFromString(data)
            kind = record.WhichOneof("record_type")
            row = {"num": record.num, "is": kind}
            if kind == "history":
                row["step"] = record.history.step.num
                row["items"] = {"/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
            elif kind == "summary":
                row["items"] = {"/".join(i.nested_key): json.loads(i.value_json) for i in record.summary.update}
            elif kind == "run":
                row.update(id=record.run.run_id, project=record.run.project, name=record.run.display_name,
                           start=record.run.start_time.ToJsonString(),
                           config={i.key: json.loads(i.value_json) for i in record.run.config.update})
            elif kind == "exit":
                row.update(code=record.exit.exit_code, runtime=record.exit.runtime)
            elif kind == "header":
                row["producer"] = record.header.version_info.producer
            rows.append(row)
    return rows


def transformers():
    from transformers.trainer_callback import TrainerState
    state = TrainerState.load_from_json(os.path.join(run, "trainer_state.json"))
    return {"global_step": state.global_step, "max_steps": state.max_steps, "total_flos": state.total_flos,
            "num_input_tokens_seen": state.num_input_tokens_seen, "log_history": state.log_history}


for reader in (tensorboard, trackio, wandb, transformers):
    says[f"{reader.__name__} {version(reader.__name__)}"] = reader()
print(json.dumps(says, sort_keys=True, indent=1, default=str))
