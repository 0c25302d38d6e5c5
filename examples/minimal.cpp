/*
 * minimal.cpp: text from a prompt, with gpt2.hpp.
 *
 *     c++ minimal.cpp $(pkg-config --cflags --libs gpt2) && ./a.out MODEL "Once upon a time"
 */
#include <gpt2.hpp>
#include <iostream>

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::cerr << "usage: minimal MODEL TEXT\n";
        return 2;
    }
    try {
        gpt2::Model model(argv[1]);
        gpt2::Session session(model);
        gpt2_sample_params sampling = gpt2::defaults(gpt2_sample_params_init);
        std::vector<int32_t> ids = model.encode(argv[2]);

        if (ids.empty()) // an empty text begins with <|endoftext|>
            ids.push_back(gpt2_tokenizer_eot(gpt2_model_tokenizer(model.get())));
        sampling.temperature = 0.8f;
        sampling.top_k = 40;
        std::cout << argv[2];
        session.generate(ids, 50, [](const std::string &text) { std::cout << text; }, sampling);
        std::cout << "\n";
    } catch (const std::exception &error) {
        std::cerr << "minimal: " << error.what() << "\n";
        return 1;
    }
    return 0;
}
