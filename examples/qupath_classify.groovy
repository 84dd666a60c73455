// In QuPath 0.5 or later: classify the open slide inside the regions you drew, and show its tiles.
// Research use only.
//
// Draw regions of the class Tumor, open this file in the script editor (Automate > Script editor), put your
// paths into the lines below, and run it. Where there is no such region, the whole slide is read.

import groovy.json.JsonSlurper
import static qupath.lib.scripting.QP.*

def her2edge = System.getenv("HER2EDGE") ?: "/opt/her2edge/bin/her2edge"
def model = System.getenv("HER2EDGE_MODEL") ?: "/opt/her2edge/model.tflite"
def out = System.getenv("HER2EDGE_OUT") ?: buildFilePath(PROJECT_BASE_DIR, "her2edge")
def tumour = "Tumor"

def server = getCurrentServer()
def slide = new File(server.getURIs().first())
def command = [her2edge, "classify", slide.path, "--model", model, "--out", out, "--json"]
def mpp = server.getPixelCalibration().getAveragedPixelSizeMicrons()
if (!Double.isNaN(mpp))  // as the open image has it; `Set pixel size` in QuPath counts
    command += ["--mpp", String.format(Locale.ROOT, "%.4f", mpp)]
def regions = getAnnotationObjects().findAll { it.getPathClass()?.getName() == tumour }
if (regions) {
    def file = File.createTempFile("regions", ".geojson")
    file.deleteOnExit()
    exportObjectsToGeoJson(regions, file.path, "FEATURE_COLLECTION")
    command += ["--region", file.path, "--class", tumour]
}

println command.join(" ")
def process = command.execute()
def answers = new StringBuffer(), said = new StringBuffer()
process.waitForProcessOutput(answers, said)
println said.toString().trim()
if (!(process.exitValue() in [0, 3]))  // 3: done, but some tiles failed
    throw new RuntimeException("her2edge ended with exit code ${process.exitValue()}: the lines above say why")

def run = new JsonSlurper().parseText(answers.toString())
println "${run.answer.status}: ${run.answer.labels.join(' or ')}"
importObjectsFromFile(new File(run.folder, "tiles.geojson").path)
fireHierarchyUpdate()
