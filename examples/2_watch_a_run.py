"""Drive a run by its events: print the loss, look at each epoch, stop when it's good enough."""

import sys

from impasto import Settings, Stylization
from impasto.images.writing import save
from impasto.run.events import EpochDone, Finished, Stepped

photo, style, output = sys.argv[1:4]
painting = Stylization(photo, [style], Settings(size=128, epochs=3, steps_per_epoch=4))
for event in painting.events():
    match event:
        case Stepped(step=step, loss=loss):
            print(f"step {step}: loss {loss:.4f}")
        case EpochDone(epoch=epoch, picture=picture):
            print(f"epoch {epoch}: mean colour {[round(c, 2) for c in picture.mean((0, 2, 3)).tolist()]}")
        case Finished(picture=picture):
            save(output, picture, note=painting.recipe().without_folders().to_json(), overwrite=True)
