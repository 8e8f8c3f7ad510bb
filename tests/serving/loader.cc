// Answers requests from an export the way TensorFlow Serving does: the model is loaded by its "serve"
// tag, a request's tensors are matched with those of a signature, and requests run at the same time on
// one session. XLA is off, as it is in a server unless it is started with
// --xla_cpu_compilation_enabled.
//
// One process serves many exports, since starting TensorFlow costs more than answering: it reads lines
//
//   EXPORT/VERSION<tab>REQUESTS<tab>ANSWERS
//
// and writes one line for each, "answered" or why the export could not be loaded.
//
// A request is a folder REQUESTS/<signature> or REQUESTS/<signature>.<anything>, of which
// <signature>.warmup is answered before all others, with a serialized TensorProto <input>.pb for each input. Its answer is the folder ANSWERS/<same name> with
// <output>.pb for each output, or a file `error` with the status. ANSWERS/signatures lists all
// signatures of the export, one a line.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/framework/tensor.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow/core/platform/errors.h"
#include "tensorflow/core/public/session.h"

namespace tensorflow {
void DisableXlaCompilation();
}

namespace fs = std::filesystem;
using Signatures = google::protobuf::Map<std::string, tensorflow::SignatureDef>;

tensorflow::Status ReadTensor(const fs::path& path, tensorflow::Tensor* tensor) {
  std::ifstream file(path, std::ios::binary);
  tensorflow::TensorProto proto;
  if (!proto.ParseFromIstream(&file) || !tensor->FromProto(proto)) {
    return tensorflow::errors::DataLoss("not a tensor: ", path.string());
  }
  return tensorflow::OkStatus();
}

tensorflow::Status Answer(tensorflow::Session* session, const Signatures& signatures,
                          const fs::path& request, const fs::path& answer) {
  const std::string name = request.filename().string();
  const auto signature = signatures.find(name.substr(0, name.find('.')));
  if (signature == signatures.end()) {
    return tensorflow::errors::NotFound("no signature ", name);
  }
  std::vector<std::pair<std::string, tensorflow::Tensor>> feeds;
  for (const auto& file : fs::directory_iterator(request)) {
    const std::string input = file.path().stem().string();
    const auto info = signature->second.inputs().find(input);
    if (info == signature->second.inputs().end()) {
      return tensorflow::errors::InvalidArgument("no input ", input, " in ", name);
    }
    feeds.emplace_back(info->second.name(), tensorflow::Tensor());
    TF_RETURN_IF_ERROR(ReadTensor(file.path(), &feeds.back().second));
    if (feeds.back().second.dtype() != info->second.dtype()) {
      return tensorflow::errors::InvalidArgument("another dtype than that of input ", input);
    }
  }
  if (feeds.size() != static_cast<size_t>(signature->second.inputs().size())) {
    return tensorflow::errors::InvalidArgument("inputs are missing in ", name);
  }
  std::vector<std::string> outputs, fetches;
  for (const auto& output : signature->second.outputs()) {
    outputs.push_back(output.first);
    fetches.push_back(output.second.name());
  }
  std::vector<tensorflow::Tensor> tensors;
  TF_RETURN_IF_ERROR(session->Run(feeds, fetches, {}, &tensors));
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensorflow::TensorProto proto;
    // Packed content is bare memory, which numpy cannot read strings from.
    if (tensors[i].dtype() == tensorflow::DT_STRING) {
      tensors[i].AsProtoField(&proto);
    } else {
      tensors[i].AsProtoTensorContent(&proto);
    }
    std::ofstream file(answer / (outputs[i] + ".pb"), std::ios::binary);
    if (!proto.SerializeToOstream(&file)) {
      return tensorflow::errors::Unavailable("cannot write ", answer.string());
    }
  }
  return tensorflow::OkStatus();
}

// Loads an export and answers all requests in a folder; returns the status of loading.
tensorflow::Status Serve(const std::string& version, const fs::path& requests, const fs::path& answers) {
  tensorflow::SavedModelBundle bundle;
  TF_RETURN_IF_ERROR(tensorflow::LoadSavedModel(tensorflow::SessionOptions(), tensorflow::RunOptions(),
                                                version, {"serve"}, &bundle));
  fs::create_directories(answers);
  const Signatures& signatures = bundle.meta_graph_def.signature_def();
  std::ofstream names(answers / "signatures");
  for (const auto& signature : signatures) {
    // A convention of the format, not something to call: what initializes the tables.
    if (signature.first != "__saved_model_init_op") names << signature.first << "\n";
  }
  const auto respond = [&bundle, &signatures, &answers](const fs::path& request) {
    const fs::path answer = answers / request.filename();
    fs::create_directories(answer);
    const tensorflow::Status status = Answer(bundle.GetSession(), signatures, request, answer);
    if (!status.ok()) std::ofstream(answer / "error") << status.ToString();
  };
  // As in a server, what warms up comes first, alone: requests that meet an unprepared graph at the same
  // time would each prepare it.
  std::vector<fs::path> others;
  for (const auto& request : fs::directory_iterator(requests)) {
    if (request.path().extension() == ".warmup") {
      respond(request.path());
    } else {
      others.push_back(request.path());
    }
  }
  std::vector<std::thread> threads;
  for (const fs::path& request : others) threads.emplace_back(respond, request);
  for (std::thread& thread : threads) thread.join();
  return tensorflow::OkStatus();
}

int main() {
  tensorflow::DisableXlaCompilation();
  std::string line, version, requests, answers;
  while (std::getline(std::cin, line)) {
    std::istringstream fields(line);
    if (!std::getline(fields, version, '\t') || !std::getline(fields, requests, '\t') ||
        !std::getline(fields, answers)) {
      std::cerr << "expected EXPORT/VERSION<tab>REQUESTS<tab>ANSWERS, got " << line << "\n";
      return 2;
    }
    const tensorflow::Status loaded = Serve(version, requests, answers);
    std::string said = loaded.ok() ? "answered" : "cannot load " + version + ": " + loaded.ToString();
    std::replace(said.begin(), said.end(), '\n', ' ');
    std::cout << said << std::endl;
  }
  return 0;
}
