"""The commands of ``torchlops``, one module each: its arguments in ``add``, its work in ``run``."""
