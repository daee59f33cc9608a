import torch, sys
from pathlib import Path
sys.path.append(str(Path(__file__).resolve().parents[3]/"benchmarks"))
import judge, numpy as np
from comfy_extras.nodes_context_windows import ContextWindowsManualNode
def test_x(pack, mini, mini_recipe, mini_text):
    node = pack("nodes.keyframes").Show1KeyframeSampler
    r = mini_recipe["keyframes"]
    import imageio
def test_y(pack, mini, mini_recipe, mini_text):
    import time
    node = pack("nodes.keyframes").Show1KeyframeSampler
    r = mini_recipe["keyframes"]
    out = {}
    for sched, fuse, L, O in (("standard_static","pyramid",8,4),("standard_uniform","pyramid",8,4)):
      for free in (False, True):
        for prompt in ("a red circle moving right","a blue square growing"):
            m = ContextWindowsManualNode.execute(mini("keyframes"), L, O, sched, 1, False, fuse, 2).args[0]
            t=time.time()
            im, _ = node.execute(m, *mini_text(prompt), 3, r["steps"], r["guidance"], 64, r["width"], r["height"], "published","published", free_noise=free).args
            im = im.clamp(0,1)
            d = (im[1:]-im[:-1]).abs().mean((1,2,3))
            print(sched, fuse, L,O, free, prompt, "t", round(time.time()-t,1), "diff", d.mean().item())
            print(" ".join(f"{v*1000:.0f}" for v in d))
            out[(sched,free,prompt)] = im
            v=[judge.judge((im[s:s+8].numpy()*255).astype(np.uint8)) for s in range(0,57,4)]
            print([x.direction.split()[-1]+"/"+x.colour for x in v])
    torch.save(out, "/tmp/steer_long.pt")
