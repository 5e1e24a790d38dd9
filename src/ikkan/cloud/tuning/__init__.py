"""Tuning: a tenant's file becomes a model of the tenant's own, over OpenAI's wire for files and fine-tuning jobs.

Lives here: uploads and what they hold, jobs, their events and checkpoints, and the models that come of them. May not
enter: the trainer, which lives above and is handed in (`values.Trainer`), and torch (contract "Tensors stay below the
cloud"). Begin at `service.py`; `work.py` is what a worker does; `upstreams/adapted.py` lets a result answer.
"""
