"""What every measurement record holds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class MeasurementRecord(BaseModel):
    """What every record holds.

    Attributes:
        schema_version: of this layout.
        variant: the variant's name (see ``train.variant``).
        variant_sha256: digest of its payload; empty where there is no payload.
        network_sha256: digest of the trained network that it was made from.
        split_method: the split that the model was trained and is judged under.
        environment: ``EnvironmentRecord.environment`` of the machine that made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    variant: str
    variant_sha256: str = ""
    network_sha256: str = ""
    split_method: str
    environment: str
