"""A custom stage: the mean colour of each photo, and a picture of that colour."""

import io

from PIL import Image, ImageStat

from lookstream.stages import ArtifactStore, ImageValidated, Payload, artifact_key, stage


class MeanColour(Payload):
    colour: str
    swatch: str


@stage("colour", version="mean-1")
def mean_colour(event: ImageValidated, artifacts: ArtifactStore) -> MeanColour:
    picture = Image.open(io.BytesIO(artifacts.get(event.working)))
    red, green, blue = (round(mean) for mean in ImageStat.Stat(picture).mean)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (red, green, blue)).save(buffer, "PNG")
    key = artifact_key("colour", event.sha256, "swatch.png")
    artifacts.put(key, buffer.getvalue(), content_type="image/png")
    return MeanColour(colour=f"#{red:02x}{green:02x}{blue:02x}", swatch=key)
